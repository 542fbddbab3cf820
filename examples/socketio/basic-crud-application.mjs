// Serves the clients of Socket.IO's example "basic-crud-application"; what is to
// be done is kept in memory.

import { randomUUID } from "node:crypto";

import Joi from "joi";

import { daemon, others, serve } from "./backend.mjs";

const todos = new Map();
const notFound = { error: "entity not found" };
const id = Joi.string().guid({ version: "uuidv4" });
const content = { title: Joi.string().max(256).required(), completed: Joi.boolean().required() };
const schemas = { create: Joi.object({ id: id.forbidden(), ...content }), update: Joi.object({ id: id.required(), ...content }) };

// Returns {value}, or the {error} to answer.
function validate(schema, payload) {
  const { error, value } = schema.validate(payload, { abortEarly: false, stripUnknown: true });
  if (!error && value) return { value };
  const errorDetails = (error?.details ?? []).map(({ message, path, type }) => ({ message, path, type }));
  return { error: { error: "invalid payload", errorDetails } };
}

serve("basic-crud-application", {
  events: {
    async "todo:create"(client, payload) {
      const { error, value } = validate(schemas.create, payload);
      if (error) return error;
      const todo = { ...value, id: randomUUID() };
      todos.set(todo.id, todo);
      await daemon.emit(others(client), "todo:created", todo);
      return { data: todo.id };
    },
    "todo:read": (client, key) => (todos.has(key) ? { data: todos.get(key) } : notFound),
    async "todo:update"(client, payload) {
      const { error, value } = validate(schemas.update, payload);
      if (error) return error;
      todos.set(value.id, value);
      await daemon.emit(others(client), "todo:updated", value);
    },
    async "todo:delete"(client, key) {
      if (!todos.delete(key)) return notFound;
      await daemon.emit(others(client), "todo:deleted", key);
    },
    "todo:list": () => ({ data: [...todos.values()] }),
  },
});
