"use strict";
// The page of a study: asks one question after the other, keeps the answers in this browser, saves them as a file.
(() => {
  const byId = (id) => document.getElementById(id);
  // raters: for each, its trials in order. A trial names files, not what they are.
  const data = JSON.parse(byId("data").textContent);
  const texts = data.texts;
  const KEPT_AS = `signgen-study-${data.study}`;
  const PAUSE = 500; // ms of an empty stage before a picture, so that nobody is surprised by it
  let state = null; // what is kept: rater, session, answers
  let asked = null; // the trial on the screen: its number, when it was shown, what its answers are

  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const painted = () => new Promise((done) => requestAnimationFrame(done));

  /** In the tab's history, which a reload brings back, and in the browser's store, for another day. */
  function keep() {
    history.replaceState(state, "");
    try {
      localStorage.setItem(KEPT_AS, JSON.stringify(state));
    } catch {
      byId("storage").hidden = false; // private windows may refuse; the answers are still here until the tab is closed
    }
  }

  function kept() {
    const here = history.state?.study === data.study ? history.state : null;
    let stored = null;
    try {
      stored = JSON.parse(localStorage.getItem(KEPT_AS));
    } catch {
      byId("storage").hidden = false;
    }
    // Another session in the store was begun later; of one session the store may lag behind.
    const isSame = here !== null && stored?.session === here.session;
    return stored === null || (isSame && here.answers.length > stored.answers.length) ? here : stored;
  }

  function show(section) {
    for (const id of ["start", "trial", "done"]) {
      byId(id).hidden = id !== section;
    }
    document.documentElement.dataset.section = section;
  }

  const trials = () => data.raters[state.rater - 1].trials;

  function welcome() {
    state = kept();
    const isSaved = state !== null && state.study === data.study;
    byId("saved").hidden = !isSaved;
    byId("begin").hidden = isSaved;
    if (isSaved && state.finished) {
      finish();
      return;
    }
    if (isSaved) {
      byId("resume").textContent = fill(texts.resume, { n: state.answers.length, total: trials().length });
    } else {
      byId("rater").value = new URLSearchParams(location.search).get("rater") ?? "";
    }
    show("start");
  }

  function begin(event) {
    event.preventDefault();
    const session = [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0"));
    state = {
      study: data.study,
      rater: Number(byId("rater").value),
      session: session.join(""),
      started: new Date().toISOString(),
      finished: null,
      agreed: byId("agree").checked,
      window: [innerWidth, innerHeight],
      shows: 0, // of the question that is not answered yet
      answers: [],
    };
    keep();
    next();
  }

  function restart() {
    if (confirm(texts.discard)) {
      history.replaceState(null, "");
      try {
        localStorage.removeItem(KEPT_AS);
      } catch {
        byId("storage").hidden = false;
      }
      welcome();
    }
  }

  /** A picture or clip that is ready to be shown. */
  async function loaded(address) {
    const isClip = address.endsWith(".mp4");
    const element = document.createElement(isClip ? "video" : "img");
    if (isClip) {
      element.muted = true;
      element.playsInline = true;
      element.preload = "auto";
      const ready = new Promise((done, fail) => {
        element.oncanplaythrough = done;
        element.onerror = fail;
      });
      element.src = address;
      await ready;
    } else {
      element.alt = "";
      element.src = address;
      await element.decode();
    }
    const width = element.naturalWidth ?? element.videoWidth;
    const height = element.naturalHeight ?? element.videoHeight;
    // A clip's own pixel aspect is in its file; an image has none.
    const aspect = isClip ? 1 : (data.pixel_aspect[`${width}x${height}`] ?? 1);
    const ratio = (width * aspect) / height;
    element.style.aspectRatio = ratio;
    element.dataset.ratio = ratio;
    element.dataset.width = width * aspect;
    return element;
  }

  function button(label, key, answer) {
    const made = document.createElement("button");
    const hint = document.createElement("kbd");
    hint.textContent = key;
    hint.setAttribute("aria-hidden", "true");
    made.type = "button";
    made.disabled = true;
    made.dataset.answer = answer;
    made.append(label, " ", hint);
    made.addEventListener("click", () => reply(answer));
    return made;
  }

  function prepare(trial, number) {
    const isBest = trial.kind === "best";
    byId("stage").replaceChildren();
    byId("stage").className = isBest ? "choices" : "single";
    byId("references").replaceChildren();
    byId("references").hidden = true;
    byId("answers").replaceChildren();
    byId("hint").hidden = !isBest;
    byId("practice").hidden = !trial.practice;
    byId("progress").textContent = fill(texts.progress, { n: number + 1, total: trials().length });
    byId("status").textContent = trial.kind === "check" ? "" : texts.loading;
    byId("question").textContent = isBest
      ? texts.best
      : trial.kind === "check"
        ? texts[`check_${trial.ask}`]
        : texts.question;
    show("trial");
    byId("question").focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  /** Asks the first question that is not answered. */
  async function next() {
    const number = state.answers.length;
    if (number === trials().length) {
      state.finished = new Date().toISOString();
      keep();
      finish();
      return;
    }
    const trial = trials()[number];
    const mine = { trial, number, ready: false, onset: 0, hidden: null, keys: {} };
    asked = mine;
    prepare(trial, number);
    if (trial.kind === "best") {
      await offer(mine);
    } else {
      await judge(mine);
    }
  }

  /** One picture for a limited time, two answers. */
  async function judge(mine) {
    const answers = [["real", texts.real], ["generated", texts.generated]];
    if (data.raters[state.rater - 1].swapped) {
      answers.reverse();
    }
    const [left, right] = answers;
    byId("answers").append(button(left[1], "←", left[0]), button(right[1], "→", right[0]));
    mine.keys = { ArrowLeft: left[0], ArrowRight: right[0], 1: left[0], 2: right[0] };
    let picture = null;
    if (mine.trial.kind !== "check") {
      picture = await loadedOrSaid(mine.trial.media[0]);
      if (picture === null) {
        return;
      }
      byId("status").textContent = "";
      await wait(PAUSE);
      const size = picture.dataset;
      picture.style.width = `min(100%, ${60 * size.ratio}vh, ${2 * size.width}px)`;
      byId("stage").append(picture);
    }
    await open(mine);
    if (picture !== null) {
      picture.play?.();
      await wait(1000 * data.seconds);
      if (asked === mine) {
        picture.remove();
        mine.hidden = performance.now();
        byId("status").textContent = texts.gone;
      }
    }
  }

  /** Pictures of several methods side by side, without a limit. */
  async function offer(mine) {
    const { media, references } = mine.trial;
    const addresses = [...references.map(([, address]) => address), ...media];
    const pictures = await Promise.all(addresses.map(loadedOrSaid));
    if (pictures.includes(null)) {
      return;
    }
    byId("status").textContent = "";
    const figures = pictures.map((picture) => {
      const figure = document.createElement("figure");
      picture.style.width = `min(100%, ${55 * picture.dataset.ratio}vh)`;
      picture.loop = true;
      picture.controls = true;
      figure.append(picture);
      return figure;
    });
    references.forEach(([name], i) => {
      const caption = document.createElement("figcaption");
      caption.textContent = texts[name];
      figures[i].append(caption);
    });
    byId("references").append(...figures.slice(0, references.length));
    byId("references").hidden = references.length === 0;
    const choices = figures.slice(references.length);
    choices.forEach((figure, place) => {
      figure.append(button(fill(texts.choice, { n: place + 1 }), String(place + 1), String(place)));
      mine.keys[place + 1] = String(place);
    });
    byId("stage").append(...choices);
    pictures.forEach((picture) => picture.play?.());
    await open(mine);
  }

  async function loadedOrSaid(address) {
    try {
      return await loaded(address);
    } catch {
      byId("status").textContent = texts.broken;
      return null;
    }
  }

  /** From now on it can be answered; a reload counts as another look. */
  async function open(mine) {
    state.shows += 1;
    keep();
    await painted();
    mine.onset = performance.now();
    mine.ready = true;
    for (const each of document.querySelectorAll("#trial button")) {
      each.disabled = false;
    }
    document.documentElement.dataset.ready = mine.number;
    preload(mine.number + 1);
  }

  function preload(number) {
    for (const address of trials()[number]?.media ?? []) {
      if (!address.endsWith(".mp4")) {
        new Image().src = address;
      }
    }
  }

  function reply(answer) {
    if (asked === null || !asked.ready) {
      return;
    }
    const now = performance.now();
    state.answers.push({
      trial: asked.number,
      answer,
      shown_ms: Math.round((asked.hidden ?? now) - asked.onset),
      answer_ms: Math.round(now - asked.onset),
      shows: state.shows,
    });
    state.shows = 0;
    asked = null;
    keep();
    next();
  }

  function finish() {
    show("done");
    byId("done").querySelector("h1").focus();
  }

  /** FNV-1a, as signgen study score computes it. */
  function checksum(saved) {
    const names = ["trial", "shown_ms", "answer_ms", "shows", "answer"];
    const answers = saved.answers.map((answer) => names.map((name) => answer[name]).join(":")).join(";");
    let value = 0x811c9dc5;
    for (const byte of new TextEncoder().encode(`${saved.study}|${saved.rater}|${saved.session}|${answers}`)) {
      value = Math.imul(value ^ byte, 0x01000193) >>> 0;
    }
    return value.toString(16).padStart(8, "0");
  }

  function download() {
    const { shows, ...saved } = state;
    const whole = { format: data.format, version: data.version, ...saved, checksum: checksum(saved) };
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(whole, null, 1)], { type: "application/json" }));
    link.download = `answers-${state.study}-${state.rater}-${state.session.slice(0, 4)}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  document.addEventListener("keydown", (event) => {
    const answer = asked?.keys[event.key];
    if (answer !== undefined && !event.repeat && !event.ctrlKey && !event.altKey && !event.metaKey) {
      event.preventDefault();
      reply(answer);
    }
  });
  byId("begin").addEventListener("submit", begin);
  byId("resume").addEventListener("click", next);
  for (const [name, action] of [["download", download], ["restart", restart]]) {
    for (const each of document.getElementsByClassName(name)) {
      each.addEventListener("click", action);
    }
  }
  welcome();
})();
