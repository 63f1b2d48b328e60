/* `Stripe()` itself. */

/* Show a voucher until the buyer closes it. */
const shownVoucher = (url) => new Promise((resolve) => {
  new Sheet({ url, title: "Voucher", close: "Close", onClose: resolve });
});

const follow = (intent) => {
  const url = nextUrl(intent);
  if (url) window.location.assign(url);
  return Boolean(url);
};

/* What Stripe checks when an intent was made after its Elements. */
const mismatch = async (key, elements, secret) => {
  if (!elements.isDeferred) return null;
  if (!elements.wasSubmitted) {
    throw new IntegrationError("elements.submit() must be called before stripe.confirmPayment().");
  }
  const { paymentIntent, error } = await retrieve(key, secret);
  if (error) return error;
  for (const name of ["amount", "currency"]) {
    if (paymentIntent[name] !== elements[name]) {
      return {
        type: "invalid_request_error",
        code: "payment_intent_invalid_parameter",
        message: `The ${name} of the PaymentIntent (${paymentIntent[name]}) does not match the `
          + `${name} of Elements (${elements[name]}).`,
      };
    }
  }
  return null;
};

const payWithWallet = (key, id, secret, params, { wallet, billing, shipping }) => {
  const { payment_method_data: given = {}, ...rest } = params;
  const method = {
    billing_details: billing, ...given, type: "card", card: { token: WALLETS[wallet].token },
  };
  const body = flatten(
    {
      // An address that the wallet collected goes along, whatever the shop set before.
      ...(shipping ? { shipping } : {}),
      ...rest, payment_method_data: method, key, client_secret: secret,
    },
    "", new URLSearchParams(),
  );
  return ask(`/v1/payment_intents/${id}/confirm`, { method: "POST", body });
};

const Stripe = (key, _options) => {
  if (typeof key !== "string" || !key.startsWith("pk_test_")) {
    throw new IntegrationError(
      "Please call Stripe() with a publishable test key: this stand-in takes pk_test_… only.",
    );
  }
  return {
    elements: (options) => new Elements(key, options),

    retrievePaymentIntent: (clientSecret) => retrieve(key, clientSecret),

    async confirmPayment({ elements, clientSecret, confirmParams = {}, redirect = "always" }) {
      if (!(elements instanceof Elements)) {
        throw new IntegrationError("confirmPayment() needs the elements it should confirm.");
      }
      const secret = clientSecret || elements.described().clientSecret;
      const id = intentOf(secret);
      if (redirect === "always" && !confirmParams.return_url) {
        throw new IntegrationError("confirmPayment() needs confirmParams.return_url.");
      }
      if (confirmParams.return_url) {
        try { new URL(confirmParams.return_url); } catch {
          throw new IntegrationError("confirmParams.return_url must be a full URL.");
        }
      }
      const error = await mismatch(key, elements, secret);
      if (error) return { error };
      const params = plain(confirmParams);
      const wallet = elements.wallet();
      const result = await (wallet
        ? payWithWallet(key, id, secret, params, wallet)
        : elements.required().ask({ kind: "confirm", id, clientSecret: secret, params }));
      if (result.error) return result;
      const intent = result.paymentIntent;
      if (intent.status === "requires_action") {
        if (follow(intent)) return never();
        if (voucherUrl(intent)) await shownVoucher(voucherUrl(intent));
      }
      if (redirect === "always") {
        window.location.assign(withOutcome(confirmParams.return_url, intent));
        return never();
      }
      return result;
    },

    async handleNextAction({ clientSecret }) {
      const result = await retrieve(key, clientSecret);
      const intent = result.paymentIntent;
      if (intent && intent.status === "requires_action") {
        if (follow(intent)) return never();
        if (voucherUrl(intent)) await shownVoucher(voucherUrl(intent));
      }
      return result;
    },
  };
};

Stripe.version = release === "v3" ? 3 : release;
window.Stripe = Stripe;
