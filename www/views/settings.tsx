import { useId, useState } from 'preact/hooks';
import type { Method, Settings } from '../app/state';
import { texts } from '../texts';
import { useActions, useApp } from './app';

const methods: readonly Method[] = ['zero-shot', 'tip', 'meta', 'lora+bitfit'];

/** What few visitors ever change, folded away. */
export function SettingsView() {
  const [open, setOpen] = useState(false);
  return (
    <details class="settings" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{texts.settings.title}</summary>
      {open && <Fields />}
    </details>
  );
}

function Fields() {
  const actions = useActions();
  const settings = useApp((state) => state.settings);
  const templates = useApp((state) => state.project.templates);
  const toggle = (method: Method) => {
    const chosen = methods.filter((one) => settings.methods.includes(one) !== (one === method));
    if (chosen.length) actions.changeSettings({ methods: chosen });
  };
  return (
    <div class="settings-fields">
      <fieldset>
        <legend>{texts.settings.methods}</legend>
        {methods.map((method) => (
          <label key={method} class="check">
            <input type="checkbox" checked={settings.methods.includes(method)} onChange={() => toggle(method)} />
            {texts.method(method).name}
          </label>
        ))}
      </fieldset>
      <NumberField name="metaSteps" label={texts.settings.metaSteps} min={1} max={10000} />
      <NumberField name="loraSteps" label={texts.settings.loraSteps} min={1} max={10000} />
      <NumberField name="loraRank" label={texts.settings.loraRank} min={1} max={64} />
      <NumberField name="learningRate" label={texts.settings.learningRate} min={1e-6} max={1} step="any" />
      <NumberField name="seed" label={texts.settings.seed} min={0} max={2 ** 32 - 1} about={texts.settings.seedAbout} />
      <Templates value={templates} />
    </div>
  );
}

type NumberName = { [Name in keyof Settings]: Settings[Name] extends number ? Name : never }[keyof Settings];

function NumberField({ name, label, min, max, step = 1, about }: { name: NumberName; label: string; min: number; max: number; step?: number | 'any'; about?: string }) {
  const actions = useActions();
  const id = useId();
  const value = useApp((state) => state.settings[name]);
  return (
    <div class="labelled" title={about}>
      <label for={id}>{label}</label>
      <input
        id={id}
        class="field number"
        type="number"
        inputMode="decimal"
        min={min}
        max={max}
        step={step}
        value={value}
        data-testid={`setting-${name}`}
        onChange={(event) => {
          const typed = event.currentTarget.valueAsNumber;
          if (event.currentTarget.validity.valid && Number.isFinite(typed)) actions.changeSettings({ [name]: typed });
          else event.currentTarget.value = String(value);
        }}
      />
    </div>
  );
}

function Templates({ value }: { value: readonly string[] }) {
  const actions = useActions();
  const id = useId();
  return (
    <div class="labelled wide">
      <label for={id}>{texts.settings.templates}</label>
      <textarea
        id={id}
        class="field"
        rows={Math.min(6, Math.max(2, value.length))}
        value={value.join('\n')}
        aria-describedby={`${id}-about`}
        spellcheck={false}
        onChange={(event) => {
          const lines = event.currentTarget.value.split('\n').map((line) => line.trim());
          actions.changeTemplates(lines.filter((line) => line.includes('{}')));
        }}
      />
      <small id={`${id}-about`}>{texts.settings.templatesAbout}</small>
    </div>
  );
}
