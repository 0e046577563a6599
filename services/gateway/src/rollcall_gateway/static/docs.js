"use strict";
// Renders /openapi.json: every operation with its parameters, schemas and a form to try it.

const METHODS = ["get", "post", "put", "patch", "delete"];

// Elements are made with text only, so nothing in the document is taken for markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function resolver(api) {
  return function resolve(node) {
    if (!node || !node.$ref) return node || {};
    return resolve(node.$ref.slice(2).split("/").reduce((found, key) => found[key], api));
  };
}

function typeName(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.anyOf) return schema.anyOf.map(typeName).join(" | ");
  if (schema.type === "array") return `${typeName(schema.items || {})}[]`;
  const limits = [["minimum", "≥"], ["maximum", "≤"]].filter(([key]) => key in schema);
  const suffix = limits.map(([key, sign]) => ` ${sign} ${schema[key]}`).join("");
  return (schema.format || schema.type || "any") + suffix;
}

function describe(schema) {
  const fallback = "default" in schema && schema.default !== null;
  const text = schema.description || "";
  return fallback ? `${text} Default ${JSON.stringify(schema.default)}.`.trim() : text;
}

function table(rows) {
  const body = rows.map(([name, type, text]) =>
    make("tr", {}, make("td", {}, make("code", {}, name)), make("td", { class: "soft" }, type),
      make("td", {}, text)));
  return make("table", {}, ...body);
}

function schemaTable(schema) {
  const required = new Set(schema.required || []);
  const rows = Object.entries(schema.properties || {}).map(([name, property]) =>
    [name + (required.has(name) ? " *" : ""), typeName(property), describe(property)]);
  return table(rows);
}

function example(schema, resolve, depth = 0) {
  const known = resolve(schema);
  if (known.examples) return known.examples[0];
  if ("default" in known) return known.default;
  if (known.enum) return known.enum[0];
  if (known.anyOf) return example(known.anyOf[0], resolve, depth);
  if (known.type === "array") return [];
  if (known.type !== "object" || depth > 3) return known.type === "string" ? "" : {};
  const fields = Object.entries(known.properties || {});
  return Object.fromEntries(fields.map(([key, value]) => [key, example(value, resolve, depth + 1)]));
}

function contents(node, resolve) {
  return Object.entries(resolve(node).content || {}).map(([type, media]) =>
    ({ type, schema: media.schema, example: media.example }));
}

function request(method, path, parameters, inputs, body) {
  const query = new URLSearchParams();
  const headers = {};
  let url = path;
  for (const parameter of parameters) {
    const value = inputs.get(parameter).value;
    if (!value) continue;
    if (parameter.in === "path") url = url.replace(`{${parameter.name}}`, encodeURIComponent(value));
    if (parameter.in === "query") query.set(parameter.name, value);
    if (parameter.in === "header") headers[parameter.name] = value;
  }
  const token = document.getElementById("token").value;
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = body.type;
  const search = query.toString();
  const options = { method: method.toUpperCase(), headers, body: body ? body.input.value : undefined };
  return fetch(url + (search ? `?${search}` : ""), options);
}

async function show(output, pending) {
  output.hidden = false;
  try {
    const answer = await pending;
    const text = await answer.text();
    const kept = ["etag", "consistency-token", "location", "x-correlation-id", "retry-after"];
    const lines = kept.filter((h) => answer.headers.has(h)).map((h) => `${h}: ${answer.headers.get(h)}`);
    const json = (answer.headers.get("content-type") || "").includes("json");
    const pretty = json && text ? JSON.stringify(JSON.parse(text), null, 2) : text;
    output.textContent = [`${answer.status} ${answer.statusText}`, ...lines, "", pretty].join("\n");
  } catch (error) {
    output.textContent = `No answer: ${error.message}`;
  }
}

function form(method, path, operation, body, resolve) {
  const inputs = new Map();
  const rows = operation.parameters.map((parameter) => {
    const input = make("input", { "aria-label": parameter.name });
    inputs.set(parameter, input);
    const text = describe({ ...parameter.schema, description: parameter.description || parameter.schema.description });
    return make("tr", {}, make("td", {}, make("code", {}, parameter.name + (parameter.required ? " *" : ""))),
      make("td", { class: "soft" }, `${typeName(parameter.schema)}, ${parameter.in}`),
      make("td", {}, text), make("td", {}, input));
  });
  const parts = rows.length ? [make("h3", {}, "Parameters"), make("table", {}, ...rows)] : [];
  if (body) {
    body.input = make("textarea", { "aria-label": "Body", spellcheck: "false" });
    body.input.value = JSON.stringify(example(body.schema, resolve), null, 2);
    parts.push(make("h3", {}, `Body: ${body.type}`), schemaTable(resolve(body.schema)), body.input);
  }
  const output = make("pre", { hidden: "" });
  const button = make("button", { type: "button" }, "Send");
  button.addEventListener("click", () => show(output, request(method, path, operation.parameters, inputs, body)));
  return [...parts, button, output];
}

function answers(operation, resolve) {
  const parts = [];
  for (const [status, node] of Object.entries(operation.responses)) {
    const answer = resolve(node);
    parts.push(make("h3", {}, `${status === "default" ? "Errors" : status}: ${answer.description}`));
    for (const shown of contents(answer, resolve)) {
      parts.push(make("div", { class: "soft" }, `${shown.type}, ${typeName(shown.schema)}`), schemaTable(resolve(shown.schema)));
      if (shown.example) parts.push(make("div", {}, describe(shown.schema)), make("pre", {}, shown.example));
    }
  }
  return parts;
}

function card(method, path, operation, resolve) {
  const body = operation.requestBody ? contents(operation.requestBody, resolve)[0] : null;
  const title = make("summary", {}, make("span", { class: `method ${method}` }, method.toUpperCase()),
    make("code", {}, path), make("span", {}, operation.summary));
  return make("details", { id: operation.operationId }, title,
    make("div", {}, ...form(method, path, operation, body, resolve), ...answers(operation, resolve)));
}

async function main() {
  const api = await (await fetch("/openapi.json")).json();
  const resolve = resolver(api);
  document.getElementById("summary").textContent = `${api.info.summary} Version ${api.info.version}.`;
  const groups = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((name) => name in item)) {
      const tag = item[method].tags[0];
      groups.set(tag, [...(groups.get(tag) || []), card(method, path, item[method], resolve)]);
    }
  }
  const sections = [...groups].map(([tag, cards]) => make("section", {}, make("h2", {}, tag), ...cards));
  document.getElementById("operations").replaceChildren(...sections);
}

main();
