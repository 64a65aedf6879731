// When what is shown is asked for again: soon after something has changed, else after a while, and never under the hands of who answers a question.

/** How long after a change, so that many at once are one question. */
const SOON_MILLISECONDS = 400;

/** How long after an answer where nothing is heard: time passes, and clocks run. */
const LATER_MILLISECONDS = 30_000;

/** Whether somebody answers a question. */
const answering = () => document.querySelector("dialog") !== null;

export class Again {
  /**
   * @param {() => unknown} ask
   * @param {() => boolean} [held] whether what is shown must stay for now
   */
  constructor(ask, held = answering) {
    this.ask = ask;
    this.held = held;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /** Whether it is asked as soon as that makes sense. */
    this.near = false;
    /** Whether an answer is awaited. */
    this.asking = false;
  }

  /** An answer is awaited from now on: it comes first, or none would ever be shown where every moment something changes. */
  begun() {
    this.stop();
    this.asking = true;
  }

  /** The answer is here: it is asked again soon where something has changed meanwhile. */
  answered() {
    this.asking = false;
    if (this.near) this.wait(SOON_MILLISECONDS);
  }

  /** Something has changed: soon, however much more changes meanwhile. */
  soon() {
    if (this.near) return;
    this.near = true;
    if (!this.asking) this.wait(SOON_MILLISECONDS);
  }

  /** After a while, if nothing changes before. */
  later() {
    if (!this.near) this.wait(LATER_MILLISECONDS);
  }

  /** Not at all any more. */
  stop() {
    clearTimeout(this.timer);
    this.near = this.asking = false;
  }

  /** @param {number} milliseconds */
  wait(milliseconds) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.near = false;
      if (this.held()) this.soon();
      else this.ask();
    }, milliseconds);
  }
}
