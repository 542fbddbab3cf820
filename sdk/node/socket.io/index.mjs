// One instance of the package, whether it is imported or required.
import io from "./dist/index.js";

export const { Server, Namespace, Socket, daemonFlags } = io;
export default io;
