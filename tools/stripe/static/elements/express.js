/* The Express Checkout Element: a button for each wallet that may be used here. */

import { dress, fire, listen, offered, tell } from "./frame.js";

const WALLETS = { applePay: ["apple_pay", "Apple Pay"], googlePay: ["google_pay", "Google Pay"] };
const place = document.getElementById("wallets");
let setUp = { options: {} };

/* Wallets use the Payment Request API, which the page's Permissions-Policy may keep from frames. */
const isAllowed = () => {
  const policy = document.permissionsPolicy || document.featurePolicy;
  return !policy || policy.allowsFeature("payment");
};

const start = async () => {
  const { types, error } = await offered(setUp);
  if (error) return fire("loaderror", { error });
  const { paymentMethods = {}, buttonHeight = 44, layout = {} } = setUp.options;
  place.classList.toggle("one-row", layout.maxRows === 1);
  const usable = Object.keys(WALLETS).filter(
    (name) => isAllowed() && types.includes("card") && paymentMethods[name] !== "never");
  for (const name of usable) {
    const [wallet, title] = WALLETS[name];
    const button = document.createElement("button");
    button.type = "button";
    button.className = "wallet";
    button.textContent = `Pay with ${title}`;
    button.style.blockSize = `${buttonHeight}px`;
    button.addEventListener("click", () => tell({ kind: "pressed", wallet }));
    place.append(button);
  }
  const all = Object.fromEntries(Object.keys(WALLETS).map((name) => [name, usable.includes(name)]));
  return fire("ready", { availablePaymentMethods: usable.length ? all : undefined });
};

listen({
  start(message) { this.update(message); start(); },
  update(message) {
    setUp = { ...message, options: message.options || {} };
    dress(message.appearance);
  },
});
