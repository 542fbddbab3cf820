// One instance of the package, whether it is imported or required.
export * from "./dist/index.js";
