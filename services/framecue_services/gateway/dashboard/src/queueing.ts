// Pictures are fetched a few at a time, the most wanted first, and none for a tile that nobody sees. Pure but for the
// work it is handed.

export interface Job {
  /** Lower comes first. */
  priority: number;
  run(signal: AbortSignal): Promise<void>;
}

/** Runs jobs, at most `most` at a time; `pause` holds all of them back, as after a 503. */
export class Queue {
  private waiting: { job: Job; control: AbortController; order: number }[] = [];
  private running = 0;
  private count = 0;
  private resumesAt = 0;

  constructor(private readonly most: number, private readonly later: (run: () => void, ms: number) => void, private readonly now: () => number) {}

  /** Takes `job`; the answer takes it back, or ends it where it runs. */
  add(job: Job): () => void {
    const control = new AbortController();
    const entry = { job, control, order: this.count++ };
    this.waiting.push(entry);
    this.pump();
    return () => {
      control.abort();
      const at = this.waiting.indexOf(entry);
      if (at >= 0) this.waiting.splice(at, 1);
    };
  }

  /** Nothing new begins within `ms`. */
  pause(ms: number): void {
    this.resumesAt = Math.max(this.resumesAt, this.now() + ms);
  }

  get length(): number {
    return this.waiting.length + this.running;
  }

  private pump(): void {
    const wait = this.resumesAt - this.now();
    if (wait > 0) {
      if (this.waiting.length) this.later(() => this.pump(), wait);
      return;
    }
    while (this.running < this.most && this.waiting.length) {
      let best = 0;
      this.waiting.forEach((one, at) => {
        const other = this.waiting[best]!;
        if (one.job.priority < other.job.priority || (one.job.priority === other.job.priority && one.order < other.order)) best = at;
      });
      const [next] = this.waiting.splice(best, 1);
      this.running++;
      void next!.job.run(next!.control.signal).catch(() => {}).finally(() => {
        this.running--;
        this.pump();
      });
    }
  }
}
