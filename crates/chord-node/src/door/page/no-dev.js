// Whether this ring is one to play with: it is not.

export const isDev = false;
