// What browsers call the methods of this server by: made by the server, of what it has mounted.
// @ts-self-types="./client.d.ts"

/** A call that did not end well: refused or failed by the server, or not brought to it. */
export class WebMethodError extends globalThis.Error {
  constructor(status, code, message, options) {
    super(message, options);
    this.name = "WebMethodError";
    /** The status of the response; 0 where there was none. */
    this.status = status;
    /** What went wrong, for programs: the server's word, or `unreachable`, or `not_json`. */
    this.code = code;
  }
}

/** The longest URL that everything in between takes (RFC 9110, section 4.1). */
const $longestUrl = 8000;

/** Sends a call. One that may be answered from a cache is a GET, unless its arguments are too long for a URL. */
async function $call(name, isCached, args) {
  // Beside this module, wherever that is.
  const url = new globalThis.URL(`./${globalThis.encodeURIComponent(name)}`, import.meta.url);
  const json = globalThis.JSON.stringify(args);
  const request = { credentials: "same-origin", headers: { accept: "application/json" } };
  const query = `?args=${globalThis.encodeURIComponent(json)}`;
  if (isCached && url.href.length + query.length <= $longestUrl) {
    url.search = query;
  } else {
    request.method = "POST";
    request.headers["content-type"] = "application/json";
    request.body = json;
  }
  let response;
  try {
    response = await globalThis.fetch(url, request);
  } catch (cause) {
    throw new WebMethodError(0, "unreachable", `${name} was not reached: ${cause.message}`, { cause });
  }
  let answer;
  try {
    answer = await response.json();
  } catch (cause) {
    const what = `${name} answered ${response.status}, and no JSON`;
    throw new WebMethodError(response.status, "not_json", what, { cause });
  }
  if (!response.ok) {
    throw new WebMethodError(response.status, answer?.code, answer?.message);
  }
  return answer;
}
