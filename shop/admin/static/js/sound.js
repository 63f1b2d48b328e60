// @ts-check
// A short sound for new orders, if the person switched it on. It never is the only signal.
// Browsers let a page sound only after a click or a key: until then the button says that it waits.

const SOUND = "admin-sound";
const WORDS = "Sound for new orders";
const WAITS = "Sound for new orders: on, and starts with your first click on this page";
const PATIENCE_MS = 400;
const BETWEEN_MS = 1000;

/** @type {AudioContext | undefined} */
let audio;
let sounding = 0;

export function watchSound() {
  const button = /** @type {HTMLButtonElement | null} */ (document.querySelector("[data-sound]"));
  if (!button) return;
  const show = () => button.setAttribute("aria-pressed", String(isOn()));
  show();
  addEventListener("storage", (event) => event.key === SOUND && show());
  button.addEventListener("click", async () => {
    localStorage.setItem(SOUND, isOn() ? "off" : "on");
    show();
    if (isOn() && (await wake())) play();
  });
  const gestures = ["pointerup", "keyup"];
  const prepare = async () => {
    if (!isOn() || !(await wake())) return;
    for (const gesture of gestures) removeEventListener(gesture, prepare);
    if (!sounding) audio.suspend();
  };
  for (const gesture of gestures) addEventListener(gesture, prepare);
  prepare();
}

/** Two short soft tones; of several open tabs one makes them. */
export async function chime() {
  if (!isOn() || !(await wake())) return;
  if (!navigator.locks) return play();
  await navigator.locks.request(SOUND, { ifAvailable: true }, async (mine) => {
    if (!mine) return;
    play();
    await new Promise((done) => setTimeout(done, BETWEEN_MS));
  });
}

function isOn() {
  return localStorage.getItem(SOUND) === "on";
}

/** Whether this page may sound now; what may not is never kept for later. */
async function wake() {
  audio ??= new AudioContext();
  const late = new Promise((done) => setTimeout(done, PATIENCE_MS));
  await Promise.race([audio.resume().catch(() => null), late]);
  const may = audio.state === "running";
  const button = document.querySelector("[data-sound]");
  button.toggleAttribute("data-waits", !may);
  button.setAttribute("aria-label", may ? WORDS : WAITS);
  button.setAttribute("title", may ? WORDS : WAITS);
  return may;
}

function play() {
  for (const [n, pitch] of [880, 1174.7].entries()) {
    const tone = audio.createOscillator();
    const volume = audio.createGain();
    const start = audio.currentTime + n * 0.12;
    tone.frequency.value = pitch;
    volume.gain.setValueAtTime(0.0001, start);
    volume.gain.exponentialRampToValueAtTime(0.12, start + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.0001, start + 0.25);
    tone.connect(volume).connect(audio.destination);
    tone.start(start);
    tone.stop(start + 0.3);
    sounding += 1;
    tone.onended = () => --sounding || audio.suspend(); // silence costs power too
  }
}
