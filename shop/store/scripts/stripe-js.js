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

/** Our colours and type for the frame of the card form. */
export function appearance() {
  const isDark = colour("--paper", true) < 128;
  return {
    theme: isDark ? "night" : "stripe",
    variables: {
      colorPrimary: colour("--accent"),
      colorBackground: colour("--raised"),
      colorText: colour("--ink"),
      colorDanger: colour("--bad"),
      borderRadius: "10px",
      fontSizeBase: "16px",
    },
  };
}

/** A colour of ours as #rrggbb, which is what Stripe reads; or its brightness. @param {string} name @param {boolean} [asBrightness] @returns {any} */
function colour(name, asBrightness = false) {
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const element = document.createElement("span");
  element.style.color = `var(${name})`;
  document.body.append(element);
  const value = getComputedStyle(element).color;
  element.remove();
  if (!probe) return asBrightness ? 255 : "#000000";
  probe.fillStyle = value;
  probe.fillRect(0, 0, 1, 1);
  const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
  if (asBrightness) return (r + g + b) / 3;
  return `#${[r, g, b].map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}
