/* The iframes that hold what is typed, and the sheets that lie over the page. */

class FramedElement extends Emitter {
  #type; #page; #frame = null; #questions = new Map(); #count = 0; #ready = null;
  #alive = false;

  constructor(type, page) {
    super();
    this.#type = type;
    this.#page = page;
  }

  mount(place) {
    const target = typeof place === "string" ? document.querySelector(place) : place;
    if (!target) throw new IntegrationError(`There is no element ${place} to mount into.`);
    this.unmount();
    const frame = document.createElement("iframe");
    frame.title = this.title();
    frame.name = `stand-in-frame-${(frames += 1)}`;
    frame.setAttribute("scrolling", "no");
    // As Stripe.js does: the wallets work only if the page's own Permissions-Policy lets them.
    frame.allow = "payment *; publickey-credentials-get *";
    // Through the CSSOM: a strict style-src forbids style attributes, not these.
    Object.assign(frame.style, {
      border: "0", display: "block", height: this.height(), background: "transparent",
      // The frame keeps 4px around its fields for their focus rings.
      margin: "-4px", width: "calc(100% + 8px)",
      // Equal to the frame's own scheme, or browsers paint an opaque ground behind it.
      colorScheme: "light",
    });
    frame.src = `${origin}${this.#page}`;
    this.#frame = frame;
    this.#alive = false;
    this.#ready = new Promise((resolve) => {
      this.once("ready", resolve);
      this.once("loaderror", resolve);
    });
    setTimeout(() => {
      if (this.#frame === frame && !this.#alive) {
        this.fire("loaderror", { elementType: this.#type, error: lostConnection() });
      }
    }, LOAD_WITHIN_MS);
    window.addEventListener("message", this.#listen);
    dark.addEventListener("change", this.#restyle);
    target.replaceChildren(frame);
  }

  unmount() {
    if (!this.#frame) return;
    window.removeEventListener("message", this.#listen);
    dark.removeEventListener("change", this.#restyle);
    this.#frame.remove();
    this.#frame = null;
    for (const answer of this.#questions.values()) answer({ error: lostConnection() });
    this.#questions.clear();
  }

  destroy() { this.unmount(); }
  focus() { this.#post({ kind: "focus" }); }
  blur() { this.#post({ kind: "blur" }); }
  clear() { this.#post({ kind: "clear" }); }

  isMounted() { return this.#frame !== null; }

  ask(message) {
    if (!this.#frame) throw new IntegrationError(`The ${this.#type} Element is not mounted.`);
    return this.#ready.then(() => new Promise((resolve) => {
      if (!this.#alive) return resolve({ error: lostConnection() });
      const number = (this.#count += 1);
      this.#questions.set(number, resolve);
      return this.#post({ ...message, number });
    }));
  }

  #post(message) {
    if (this.#frame) this.#frame.contentWindow.postMessage(message, origin);
  }

  // What an Element of its own kind says and hears.
  title() { return "Secure payment input frame"; }
  height() { return "220px"; }
  setUp() { return {}; }
  hear(_message) {}

  // Before the frame says hello nobody is there to hear it; it then starts with the newest anyway.
  #restyle = () => { if (this.#alive) this.#post({ kind: "update", ...this.setUp() }); };
  restyle() { this.#restyle(); }

  #listen = (event) => {
    if (event.origin !== origin || !this.#frame || event.source !== this.#frame.contentWindow) {
      return;
    }
    const message = event.data;
    if (message.kind === "hello") {
      this.#alive = true;
      this.#post({ kind: "start", ...this.setUp() });
    }
    if (message.kind === "height") this.#frame.style.height = `${Math.ceil(message.height)}px`;
    if (message.kind === "event") {
      this.fire(message.name, { elementType: this.#type, ...message.detail });
    }
    if (message.kind === "answer") {
      const answer = this.#questions.get(message.number);
      this.#questions.delete(message.number);
      if (answer) answer(message.result);
    }
    this.hear(message);
  };
}

/* A page of the stand-in's over the shop's own, in a dialog that keeps the focus. */
class Sheet {
  #dialog = document.createElement("dialog");
  #frame = document.createElement("iframe");
  #onMessage; #onClose;

  constructor({ url, title, close, onMessage = () => {}, onClose = () => {} }) {
    this.#onMessage = onMessage;
    this.#onClose = onClose;
    this.#frame.title = title;
    this.#frame.src = url;
    Object.assign(this.#frame.style, {
      border: "0", display: "block", width: "100%", height: "min(540px, 70vh)",
      background: "transparent",
    });
    Object.assign(this.#dialog.style, {
      border: "0", borderRadius: "14px", padding: "0", width: "min(440px, calc(100vw - 24px))",
      maxWidth: "none", colorScheme: "light",
      background: close && dark.matches ? "#0f141a" : "#fff",
      color: close && dark.matches ? "#eef2f6" : "#16202c",
    });
    this.#dialog.setAttribute("aria-label", title);
    this.#dialog.append(this.#frame);
    if (close) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = close;
      Object.assign(button.style, {
        display: "block", width: "calc(100% - 24px)", minHeight: "46px", margin: "0 12px 12px",
        font: "600 16px system-ui, sans-serif", border: "1px solid #cfd7df", borderRadius: "10px",
        background: "transparent", color: "inherit", cursor: "pointer",
      });
      button.addEventListener("click", () => this.close());
      this.#dialog.append(button);
    }
    this.#dialog.addEventListener("cancel", (event) => { event.preventDefault(); this.close(); });
    window.addEventListener("message", this.#listen);
    document.body.append(this.#dialog);
    this.#dialog.showModal();
  }

  post(message) { this.#frame.contentWindow.postMessage(message, origin); }

  close() {
    window.removeEventListener("message", this.#listen);
    this.#dialog.close();
    this.#dialog.remove();
    this.#onClose();
  }

  #listen = (event) => {
    if (event.origin === origin && event.source === this.#frame.contentWindow) {
      this.#onMessage(event.data, this);
    }
  };
}
