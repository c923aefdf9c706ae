// @ts-check
// The page's session: a token, which tells the server that requests belong together.

/** 32 hexadecimal digits. */
export function newToken() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * The address with the session in its query.
 * @param {string} address
 * @param {string} token
 */
export function withSession(address, token) {
  const url = new URL(address, location.href);
  url.searchParams.set('session', token);
  return url.href;
}
