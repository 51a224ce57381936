// Style elements that libraries make while they run bear the nonce of the page's policy, which admits no others. Import
// this before the libraries.
const nonce = document.querySelector<HTMLMetaElement>("meta[property=csp-nonce]")?.nonce ?? "";

const createElement = document.createElement;
document.createElement = function (this: Document, name: string, options?: ElementCreationOptions) {
  const element = createElement.call(this, name, options);
  if (element instanceof HTMLStyleElement) element.nonce = nonce;
  return element;
} as typeof createElement;
