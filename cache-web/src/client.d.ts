// The types of `client.js` beside it. What is not known of a type is `unknown`.

/** A call that did not end well: refused or failed by the server, or not brought to it. */
export declare class WebMethodError extends globalThis.Error {
  /** The status of the response; 0 where there was none. */
  readonly status: number;
  /** What went wrong, for programs: the server's word, or `unreachable`, or `not_json`. */
  readonly code: string;
}
