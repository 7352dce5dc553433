"use strict";
// The player of report.html: shows one frame of both clips, its numbers, and where it lies on every curve.
(() => {
  const byId = (id) => document.getElementById(id);
  // frames: their numbers; generated, truth: WebP in base64; numbers: [frame][metric][candidate], as text.
  const data = JSON.parse(byId("data").textContent);
  const clips = ["generated", "truth"];
  const kept = new Map(); // pictures that are decoded, the latest last
  const KEPT = 120;
  let place = 0; // in data.frames
  let timer = null;
  let wanted = 0; // counts requests, so that a late picture never replaces a later one

  /** A decoded picture of `clip`. */
  async function picture(clip, index) {
    const key = `${clip} ${index}`;
    let image = kept.get(key);
    if (image === undefined) {
      image = new Image();
      image.src = `data:image/webp;base64,${data[clip][index]}`;
    }
    kept.delete(key);
    kept.set(key, image);
    if (kept.size > KEPT) {
      kept.delete(kept.keys().next().value);
    }
    await image.decode();
    return image;
  }

  function draw(id, images) {
    const canvas = byId(id);
    const [first] = images;
    if (canvas.width !== first.naturalWidth || canvas.height !== first.naturalHeight) {
      canvas.width = first.naturalWidth;
      canvas.height = first.naturalHeight;
    }
    const context = canvas.getContext("2d");
    context.globalCompositeOperation = "copy";
    for (const image of images) {
      context.drawImage(image, 0, 0);
      context.globalCompositeOperation = "difference";
    }
  }

  /** Shows the frame at `index` of those the page holds. */
  async function show(index) {
    place = Math.min(Math.max(index, 0), data.frames.length - 1);
    const ticket = ++wanted;
    const shown = place;
    const images = await Promise.all(clips.map((clip) => picture(clip, shown)));
    if (ticket !== wanted) {
      return;
    }
    clips.forEach((clip, i) => draw(clip, [images[i]]));
    if (byId("with-difference").checked) {
      draw("difference", images);
    }
    tell(shown);
  }

  /** Writes the frame's number and scores, and marks it on the curves. */
  function tell(index) {
    const frame = data.frames[index];
    byId("slider").value = String(index);
    byId("slider").setAttribute("aria-valuetext", `frame ${frame}`);
    byId("now").textContent = `frame ${frame} of ${data.first}–${data.last}`;
    [...byId("numbers").tBodies[0].rows].forEach((row, metric) => {
      data.numbers[index][metric].forEach((text, i) => {
        row.cells[i + 1].textContent = text;
      });
    });
    const share = (frame - data.first) / Math.max(data.last - data.first, 1);
    for (const marker of document.querySelectorAll(".marker")) {
      marker.style.left = `${100 * share}%`;
    }
    document.documentElement.dataset.frame = String(frame);
  }

  /** Shows the frame nearest to number `frame`; a long clip's page does not hold all. */
  function showFrame(frame) {
    let best = 0;
    data.frames.forEach((number, index) => {
      if (Math.abs(number - frame) < Math.abs(data.frames[best] - frame)) {
        best = index;
      }
    });
    return show(best);
  }

  function pause() {
    clearTimeout(timer);
    timer = null;
    byId("play").textContent = "Play";
    byId("play").setAttribute("aria-pressed", "false");
  }

  function play() {
    byId("play").textContent = "Pause";
    byId("play").setAttribute("aria-pressed", "true");
    let due = performance.now();
    const next = async () => {
      await show((place + 1) % data.frames.length);
      if (timer === null) {
        return;
      }
      due = Math.max(due + data.milliseconds / Number(byId("speed").value), performance.now());
      timer = setTimeout(next, due - performance.now());
    };
    timer = setTimeout(next, 0);
  }

  function toggle() {
    if (timer === null) {
      play();
    } else {
      pause();
    }
  }

  function step(by) {
    pause();
    return show(place + by);
  }

  /** Leads from elsewhere on the page to the player. */
  function jump(frame) {
    pause();
    showFrame(frame);
    byId("player").scrollIntoView({ block: "nearest" });
  }

  function buildTable() {
    const cell = (row, kind, text, scope) => {
      const made = document.createElement(kind);
      made.textContent = text;
      if (scope) {
        made.scope = scope;
      }
      row.append(made);
    };
    const head = byId("numbers").tHead.insertRow();
    ["", ...data.candidates].forEach((name) => cell(head, "th", name, "col"));
    for (const metric of data.metrics) {
      const row = byId("numbers").tBodies[0].insertRow();
      cell(row, "th", metric, "row");
      data.candidates.forEach(() => cell(row, "td", ""));
    }
  }

  function onKey(event) {
    const inField = event.target.closest("input, select, textarea");
    const onButton = event.target.closest("button, a, summary");
    if (event.altKey || event.ctrlKey || event.metaKey || (inField && event.key !== " ") || event.target.closest(".wide")) {
      return;
    }
    const actions = {
      ArrowLeft: () => step(-1),
      ArrowRight: () => step(1),
      Home: () => step(-data.frames.length),
      End: () => step(data.frames.length),
    };
    if (!onButton && (!inField || inField.type === "range")) {
      actions[" "] = toggle;
    }
    if (event.key in actions) {
      event.preventDefault();
      actions[event.key]();
    }
  }

  function connect() {
    byId("slider").max = String(data.frames.length - 1);
    byId("slider").addEventListener("input", (event) => step(Number(event.target.value) - place));
    byId("play").addEventListener("click", toggle);
    byId("back").addEventListener("click", () => step(-1));
    byId("on").addEventListener("click", () => step(1));
    byId("with-difference").addEventListener("change", (event) => {
      byId("difference-screen").hidden = !event.target.checked;
      show(place);
    });
    document.addEventListener("keydown", onKey);
    for (const button of document.querySelectorAll("button.jump")) {
      button.addEventListener("click", () => jump(Number(button.dataset.frame)));
    }
    for (const plot of document.querySelectorAll(".plot.time")) {
      const marker = document.createElement("div");
      marker.className = "marker";
      plot.append(marker);
      plot.addEventListener("click", (event) => {
        const box = plot.getBoundingClientRect();
        const share = (event.clientX - box.left) / box.width;
        jump(data.first + share * (data.last - data.first));
      });
    }
  }

  buildTable();
  connect();
  byId("no-player").hidden = true;
  document.querySelector(".player").hidden = false;
  show(0);
})();
