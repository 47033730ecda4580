// What a mark or a shortened name means: shown under the mouse, at the focus, and after a tap.
"use strict";

const tip = el("div", { id: "tip", role: "tooltip", hidden: "" });
let tipped = null; // the element that it speaks of

/** Attributes of an element that has something to say. */
const says = (text) => (text ? { "data-tip": text, tabindex: 0 } : {});

function showTip(target) {
  hideTip();
  tipped = target;
  tip.textContent = target.dataset.tip;
  tip.hidden = false;
  target.setAttribute("aria-describedby", "tip");
  const [box, own] = [target.getBoundingClientRect(), tip.getBoundingClientRect()];
  const wide = document.documentElement.clientWidth;
  const below = box.bottom + 6 + own.height < innerHeight;
  tip.style.left = `${Math.max(6, Math.min(box.left, wide - own.width - 6))}px`;
  tip.style.top = `${below ? box.bottom + 6 : Math.max(6, box.top - own.height - 6)}px`;
}

function hideTip() {
  tipped?.removeAttribute("aria-describedby");
  tipped = null;
  tip.hidden = true;
}

function listenForTips() {
  document.body.append(tip);
  const at = (event) => (event.target instanceof Element ? event.target.closest("[data-tip]") : null);
  const follow = (event) => { const target = at(event); if (target !== tipped) target ? showTip(target) : hideTip(); };
  document.addEventListener("pointerover", (event) => { if (event.pointerType === "mouse") follow(event); });
  document.addEventListener("click", follow); // a tap, too
  document.addEventListener("focusin", follow);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
  addEventListener("scroll", hideTip, { passive: true });
}
