// What is looked for, as of now, in plain words; and for an admin the place to change it.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { api, inWords, isAbort } from "./api.ts";
import { sceneClass } from "./colours.ts";
import { Empty, Meter, Text, Trouble, useTitle, WallTime } from "./parts.tsx";
import { condition, terms, where } from "./rulewords.ts";
import { toYaml } from "./rulesyaml.ts";
import { mayApply, refetch, rules } from "./state.ts";
import type { EventRule, RulesApplied, RuleSet } from "./wire.ts";
import { visible } from "./words.ts";

export function RulesPage() {
  useTitle("Rules");
  const error = useSignal<unknown>(null);
  const tries = useSignal(0);
  useEffect(() => {
    const control = new AbortController();
    api.rules(control.signal).then(
      (found) => {
        rules.value = found;
        error.value = null;
      },
      (e: unknown) => {
        if (!isAbort(e)) error.value = e;
      },
    );
    return () => control.abort();
  }, [tries.value, refetch.value]);
  const found = rules.value;
  return (
    <>
      <div class="toolbar">
        <h1>Rules</h1>
        {found ? <p class="tally">{found.since ? <>in force since <WallTime at={found.since} /></> : "none were ever applied"}</p> : null}
      </div>
      {error.value !== null ? <Trouble error={error.value} again={() => tries.value++} /> : null}
      {!found && error.value === null ? <div class="cards"><div class="card skeleton"><i /><i /><i /></div><div class="card skeleton"><i /><i /><i /></div></div> : null}
      {found ? <InForce rules={found.rules} /> : null}
      {found && mayApply.value ? <Apply rules={found.rules} applied={() => tries.value++} /> : null}
    </>
  );
}

function InForce({ rules: found }: { rules: RuleSet }) {
  if (!found.events.length && !found.scenes.length) {
    return <Empty title="Nothing is looked for yet"><p>Write what to look for in words, and put it in force:</p><pre><code>framecue rules apply rules.yaml</code></pre></Empty>;
  }
  return (
    <>
      <section>
        <h2>Events</h2>
        <div class="cards">{found.events.map((rule) => <RuleCard key={rule.name} rule={rule} />)}</div>
      </section>
      <section>
        <h2>Scenes</h2>
        <div class="cards">
          {found.scenes.map((scene) => (
            <article key={scene.streams} class="card">
              <p class="dim small">On {where(scene.streams)}, told apart:</p>
              <ul class="labels">{scene.labels.map((label) => <li key={label}><i class={`swatch ${sceneClass(label)}`} /><Text>{label}</Text></li>)}</ul>
            </article>
          ))}
        </div>
      </section>
    </>
  );
}

function RuleCard({ rule }: { rule: EventRule }) {
  return (
    <article class="card">
      <h3><a href={`/events?rule=${encodeURIComponent(`=${rule.name}`)}`}><Text>{rule.name}</Text></a></h3>
      <p class="dim small">On {where(rule.streams)}</p>
      <p class="condition">{visible(condition(rule))}</p>
      <Meter value={null} enter={rule.enter} exit={rule.exit} label={`Thresholds of ${visible(rule.name)}`} />
      <ul class="terms">{terms(rule).map((term) => <li key={term}>{visible(term)}</li>)}</ul>
    </article>
  );
}

type State = { kind: "idle" | "sending" } | { kind: "applied"; what: string } | { kind: "failed"; why: string; line: number | null };

function Apply({ rules: inForce, applied }: { rules: RuleSet; applied: () => void }) {
  const text = useSignal<string | null>(null);
  const state = useSignal<State>({ kind: "idle" });
  const area = useRef<HTMLTextAreaElement>(null);
  const shown = text.value ?? toYaml(inForce);

  async function apply(): Promise<void> {
    state.value = { kind: "sending" };
    try {
      state.value = { kind: "applied", what: inWordsOf(await api.applyRules(shown)) };
      text.value = null;
      applied();
    } catch (e) {
      const why = inWords(e);
      const line = Number(/(?:line |:)(\d+)/.exec(why)?.[1] ?? NaN);
      state.value = { kind: "failed", why, line: Number.isNaN(line) ? null : line };
      if (!Number.isNaN(line)) selectLine(area.current, line);
    }
  }

  const now = state.value;
  return (
    <section class="apply">
      <h2>Change them</h2>
      <p class="dim">As in a rules file. It replaces all that is in force, for every stream; a rule that stays as it is goes on undisturbed.</p>
      <label><span class="hidden">Rules as YAML</span>
        <textarea ref={area} rows={18} spellcheck={false} class="code" value={shown} aria-invalid={now.kind === "failed"} aria-describedby="apply-state" onInput={(e) => {
          text.value = e.currentTarget.value;
        }} />
      </label>
      <div class="buttons">
        <button type="button" class="primary" disabled={now.kind === "sending" || text.value === null} onClick={() => void apply()}>Put in force</button>
        <button type="button" disabled={text.value === null} onClick={() => {
          text.value = null;
          state.value = { kind: "idle" };
        }}>Back to what is in force</button>
        <span id="apply-state" role="status">
          {now.kind === "failed" ? <span class="bad-ink">{visible(now.why)}</span> : null}
          {now.kind === "applied" ? <span class="good-ink">In force. {visible(now.what)}</span> : null}
        </span>
      </div>
    </section>
  );
}

/** What the gateway says has changed, in words. */
function inWordsOf({ changes }: RulesApplied): string {
  if (!changes.length) return "Nothing changed.";
  return `${changes.map((one) => `${one.kind} ${one.what} ${one.how}`).join("; ")}.`;
}

function selectLine(area: HTMLTextAreaElement | null, line: number): void {
  if (!area) return;
  const before = area.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  const end = area.value.indexOf("\n", before);
  area.focus();
  area.setSelectionRange(before, end < 0 ? area.value.length : end);
}
