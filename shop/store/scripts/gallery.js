// @ts-check
/** Pictures of a product: thumbs scroll the row and follow it; a click enlarges. */

/** @param {HTMLElement} gallery */
export default function init(gallery) {
  const row = /** @type {HTMLElement} */ (gallery.querySelector(".frames"));
  const frames = /** @type {HTMLElement[]} */ ([...row.children]);
  const thumbs = [...gallery.querySelectorAll(".thumbs a")];
  const zoom = /** @type {HTMLDialogElement} */ (gallery.querySelector("dialog"));

  /** @param {number} index @param {ScrollBehavior} behavior */
  function show(index, behavior) {
    row.scrollTo({ left: frames[index].offsetLeft - frames[0].offsetLeft, behavior });
  }

  /** @param {number} index */
  function mark(index) {
    for (const [n, thumb] of thumbs.entries()) {
      if (n === index) thumb.setAttribute("aria-current", "true");
      else thumb.removeAttribute("aria-current");
    }
  }

  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  for (const [n, thumb] of thumbs.entries()) {
    thumb.addEventListener("click", (event) => {
      event.preventDefault();
      mark(n);
      show(n, calm ? "instant" : "smooth");
    });
  }
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) if (entry.isIntersecting) mark(frames.indexOf(/** @type {HTMLElement} */ (entry.target)));
    },
    { root: row, threshold: 0.6 },
  );
  for (const frame of frames) watcher.observe(frame);

  gallery.closest("[data-product-id]")?.addEventListener("show-picture", (event) => {
    show(/** @type {CustomEvent} */ (event).detail, calm ? "instant" : "smooth");
  });

  row.addEventListener("click", (event) => {
    const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-zoom]"));
    const large = /** @type {HTMLImageElement} */ (zoom.querySelector("img"));
    const small = button?.querySelector("img");
    if (!button || !small) return;
    large.src = button.dataset.zoom ?? "";
    large.alt = small.alt;
    zoom.showModal();
  });

  const first = Number(gallery.dataset.first);
  if (first > 0 && !location.hash) show(first, "instant");
}
