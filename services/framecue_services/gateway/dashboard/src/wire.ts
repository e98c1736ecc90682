// What the gateway answers, as far as the page reads it. The results are the public schemas; it must not know the page.

export interface FrameRef { partition: number; offset: number; index: number; at_ms: number }
export interface LabelScore { label: string; score: number }
export interface Scene { label: string; score: number; runners_up: LabelScore[]; matched: LabelScore[] }
export interface RuleScore { rule: string; picture: number | null; text: number | null; score: number | null; calibrated: boolean }
export interface Cue { start_ms: number; end_ms: number; text: string; language: string | null; source: string; lag_ms: number }
export type TextState = "none" | "pending" | "silent" | "lost" | "present";
export interface JoinedText { state: TextState; cues: Cue[]; lag_ms: number | null; confidence: number | null }

export interface Annotation {
  schema: "framecue.annotation/1";
  id: string;
  revision: number;
  stream: string;
  epoch: number;
  start_ms: number;
  end_ms: number;
  wall_at: string | null;
  published_at: string | null;
  settled_until_ms: number;
  scene: Scene | null;
  rules: RuleScore[];
  text: JoinedText;
  frames: FrameRef[];
  degraded: string | null;
  model: string;
  space: string;
  calibrated: boolean;
}

export type Phase = "started" | "updated" | "ended" | "retracted";
export interface Evidence { frames: FrameRef[]; cues: Cue[]; picture: number | null; text: number | null }

export interface Event {
  schema: "framecue.event/1";
  id: string;
  sequence: number;
  phase: Phase;
  stream: string;
  epoch: number;
  rule: string;
  start_ms: number;
  end_ms: number | null;
  reason: string | null;
  peak: number | null;
  message: string | null;
  evidence: Evidence;
  wall_at: string | null;
  published_at: string | null;
  model: string;
  space: string;
}

export interface Caption {
  schema: "framecue.caption/1";
  id: string;
  stream: string;
  epoch: number;
  start_ms: number;
  end_ms: number;
  status: "made" | "skipped";
  reason: string | null;
  text: string | null;
  style: "description" | "caption";
  model: string;
  named: LabelScore[];
  frames: FrameRef[];
  cues: Cue[];
  published_at: string | null;
}

export type Result = Annotation | Event | Caption;
export type Kind = "annotation" | "event" | "caption";

export interface StreamItem {
  stream: string;
  active_at: string | null;
  annotation: Annotation | null;
  open_events: Event[];
  caption: Caption | null;
}

export type Verdict = "right" | "wrong" | "missed";
export interface Feedback {
  id: string;
  stream: string;
  verdict: Verdict;
  event: string | null;
  rule: string | null;
  start_ms: number | null;
  end_ms: number | null;
  note: string | null;
  by: string;
  published_at: string;
}

export interface EventDetail { event: Event; pictures: string[]; feedback: Feedback[] }
export interface Page<T> { items: T[]; next: string | null }

export interface SceneRule { streams: string; labels: string[] }
export interface EventRule {
  name: string;
  streams: string;
  picture: string[];
  text: string[];
  not: string[];
  combine: "picture" | "text" | "either" | "both" | "weighted";
  weights: [number, number] | null;
  tolerance_ms: number;
  when: "early" | "settled";
  enter: number;
  exit: number;
  for_ms: number;
  cooldown_ms: number;
  picture_calibration?: { a: number; b: number } | null;
  text_calibration?: { a: number; b: number } | null;
}
export interface RuleSet { scenes: SceneRule[]; events: EventRule[] }
export interface RulesInForce { since: string | null; rules: RuleSet }

export interface RulesApplied { changes: { kind: string; what: string; streams: string; how: string }[] }

export type Scope = "read" | "write" | "admin";
export interface Session { name: string; scope: Scope; streams: string[]; auth: "on" | "off"; faces: string }

export interface Missed { since: string | null; until: string | null; reason: string }
export interface Hello { resumed: boolean }
