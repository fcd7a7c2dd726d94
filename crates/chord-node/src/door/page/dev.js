// Whether this ring is one to play with: a node of `chord dev` says so, and every other sends `no-dev.js` in place of this.

export const isDev = true;
