// @ts-check
/** Stripe's own script, always from Stripe: https://docs.stripe.com/js/including */

const PATIENCE_MS = 15_000;

/**
 * Load Stripe.js once, or wait for the one that the page loads.
 * @param {string} [address] none where the page has its own script element
 * @returns {Promise<any>} `Stripe`, or undefined if it did not come in time
 */
export function loadStripe(address) {
  if (address && ![...document.scripts].some((one) => one.src === address)) {
    const script = document.createElement("script");
    script.src = address;
    document.head.append(script);
  }
  return new Promise((resolve) => {
    const given = /** @type {any} */ (window);
    const until = Date.now() + PATIENCE_MS;
    const look = () => {
      if (given.Stripe || Date.now() > until) resolve(given.Stripe);
      else setTimeout(look, 50);
    };
    look();
  });
}
