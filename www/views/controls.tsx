import type { ButtonHTMLAttributes, ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { texts } from '../texts';
import { Icon, type IconName } from './icons';

interface ButtonProps extends Omit<ButtonHTMLAttributes<HTMLButtonElement>, 'label'> {
  icon?: IconName;
  look?: 'plain' | 'quiet' | 'primary' | 'danger';
  /** Only the icon is shown; this is its name. */
  label?: string;
  testId?: string;
  children?: ComponentChildren;
}

export function Button({ icon, look = 'plain', label, testId, children, ...rest }: ButtonProps) {
  return (
    <button type="button" class={`button ${look}${children ? '' : ' only-icon'}`} aria-label={label} title={label} data-testid={testId} {...rest}>
      {icon && <Icon name={icon} />}
      {children && <span>{children}</span>}
    </button>
  );
}

interface FileButtonProps {
  icon: IconName;
  label?: string;
  testId?: string;
  accept?: string;
  multiple?: boolean;
  folder?: boolean;
  look?: 'plain' | 'quiet' | 'primary';
  onFiles: (files: File[]) => void;
  children: ComponentChildren;
}

/** A button that opens the file picker. The input itself stays reachable, by keyboard and by tests. */
export function FileButton({ icon, label, testId, accept, multiple, folder, look = 'plain', onFiles, children }: FileButtonProps) {
  return (
    <label class={`button file ${look}`} title={label}>
      <input
        type="file"
        class="visually-hidden"
        aria-label={label}
        data-testid={testId}
        accept={accept}
        multiple={multiple || folder}
        {...(folder ? { webkitdirectory: true } : {})}
        onChange={(event) => {
          const input = event.currentTarget;
          const files = [...(input.files ?? [])];
          input.value = ''; // so that the same file can be chosen again
          if (files.length) onFiles(files);
        }}
      />
      <Icon name={icon} />
      <span>{children}</span>
    </label>
  );
}

interface NameFieldProps {
  value: string;
  label: string;
  onChange: (value: string) => void;
  testId?: string;
  /** Begin with the whole name selected, to be typed over. */
  focus?: boolean;
}

/** A name that is edited where it stands: Enter keeps it, Escape brings back the old one. */
export function NameField({ value, label, onChange, testId, focus }: NameFieldProps) {
  const field = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useState<string>();
  useEffect(() => {
    if (!focus) return;
    field.current?.focus();
    field.current?.select();
  }, []);
  const keep = () => {
    const name = typed?.trim();
    if (name && name !== value) onChange(name);
    setTyped(undefined);
  };
  return (
    <input
      ref={field}
      class="name-field"
      aria-label={label}
      placeholder={texts.projects.untitled}
      data-testid={testId}
      value={typed ?? value}
      maxLength={120}
      autocomplete="off"
      spellcheck={false}
      onInput={(event) => setTyped(event.currentTarget.value)}
      onBlur={keep}
      onKeyDown={(event) => {
        if (event.key === 'Enter') field.current?.blur();
        if (event.key === 'Escape') {
          event.stopPropagation();
          setTyped(undefined);
        }
      }}
    />
  );
}

/** On or off. */
export function Switch({ on, label, onChange, children }: { on: boolean; label?: string; onChange: () => void; children?: ComponentChildren }) {
  return (
    <button type="button" role="switch" class="switch" aria-checked={on} aria-label={label} title={label} onClick={onChange}>
      <span class="switch-track" />
      {children}
    </button>
  );
}

interface ChoiceProps<T extends string> {
  label: string;
  value: T;
  options: readonly { value: T; text: string }[];
  onChange: (value: T) => void;
  testId?: string;
}

/** One of a few, side by side. */
export function Choice<T extends string>({ label, value, options, onChange, testId }: ChoiceProps<T>) {
  const name = useId();
  return (
    <fieldset class="choice" data-testid={testId}>
      <legend class="visually-hidden">{label}</legend>
      {options.map((option) => (
        <label key={option.value}>
          <input class="visually-hidden" type="radio" name={name} value={option.value} checked={option.value === value} onChange={() => onChange(option.value)} />
          <span>{option.text}</span>
        </label>
      ))}
    </fieldset>
  );
}

export function ProgressBar({ fraction, label }: { fraction: number; label: string }) {
  const part = Math.max(0, Math.min(1, fraction));
  return (
    <div class="progress" role="progressbar" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(100 * part)}>
      <div class="progress-done" style={{ width: `${100 * part}%` }} />
    </div>
  );
}

interface SheetProps {
  title: string;
  onClose: () => void;
  look?: 'side' | 'middle';
  testId?: string;
  children: ComponentChildren;
}

/** A dialog above the page; Escape or a click beside it closes it. */
export function Sheet({ title, onClose, look = 'side', testId, children }: SheetProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      class={`sheet ${look}`}
      aria-labelledby={heading}
      data-testid={testId}
      onClose={onClose}
      onClick={(event) => {
        if (event.target === dialog.current) dialog.current?.close();
      }}
    >
      <div class="sheet-body">
        <div class="sheet-head">
          <h2 id={heading}>{title}</h2>
          <Button icon="close" look="quiet" label={texts.page.close} onClick={() => dialog.current?.close()} />
        </div>
        {children}
      </div>
    </dialog>
  );
}
