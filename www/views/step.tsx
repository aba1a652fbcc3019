import type { ComponentChildren } from 'preact';

interface Props {
  number: number;
  id: string;
  title: string;
  lead: string;
  children: ComponentChildren;
}

/** One of the three steps. */
export function Step({ number, id, title, lead, children }: Props) {
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
      {children}
    </section>
  );
}
