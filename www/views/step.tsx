import type { ComponentChildren } from 'preact';
import { useLater } from './later';

interface Props {
  number: number;
  id: string;
  title: string;
  lead: string;
  children: ComponentChildren;
}

/** One of the three steps. Its head is what was there before the script; the rest is drawn in a task of its own. */
export function Step({ number, id, title, lead, children }: Props) {
  const later = useLater();
  return (
    <section class={`step step-${id}`} id={id} aria-labelledby={`${id}-title`}>
      <header class="step-head">
        <span class="step-number" aria-hidden="true">
          {number}
        </span>
        <div>
          <h2 id={`${id}-title`}>{title}</h2>
          <p>{lead}</p>
        </div>
      </header>
      {later ? children : <div class="skeleton-panel" />}
    </section>
  );
}
