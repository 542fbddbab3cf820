/** Settings of the daemon by name, as docs/configuration.md lists them; a list may be an array. */
export type Settings = Readonly<Record<string, string | number | boolean | readonly string[]>>;

// What programs on @fanoutd/socket.io want of the daemon.
const development: Settings = {
  namespaces: "*",
  "expose-auth": true,
};

// Variables that are about the daemon, and no settings of it.
const notSettings = ["FANOUTD_ADDRESS", "FANOUTD_BINARY"];

/** The settings as flags. */
export function flags(settings: Settings): string[] {
  return Object.entries(settings).map(([name, value]) => `--${name}=${text(value)}`);
}

/** The variables of a daemon for development, with these listeners: what the environment and flags say comes before that. */
export function environment(listeners: Settings): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries({ ...development, ...listeners })) env[`FANOUTD_${name.toUpperCase().replaceAll("-", "_")}`] = text(value);
  Object.assign(env, process.env);
  for (const name of notSettings) delete env[name];
  return env;
}

function text(value: Settings[string]): string {
  return typeof value === "object" ? value.join() : String(value);
}
