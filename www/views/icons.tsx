/** Line drawings of 24 × 24, in the text's colour. They mean nothing to a screen reader: their buttons have names. */
const paths = {
  camera: 'M4 8h3l1.6-2.4h6.8L17 8h3v11H4zM12 10.2a3.2 3.2 0 1 0 0 6.4 3.2 3.2 0 0 0 0-6.4',
  upload: 'M12 16V5M7.5 9 12 4.5 16.5 9M4.5 15.5V19.5h15v-4',
  download: 'M12 4.5v11M7.5 11 12 15.5 16.5 11M4.5 15.5V19.5h15v-4',
  folder: 'M3.5 18.5v-12h6l2 2.5h9v9.5z',
  trash: 'M5 7h14M9.5 7V4.5h5V7M6.5 7l1 12.5h9l1-12.5M10 10.5v6M14 10.5v6',
  plus: 'M12 5v14M5 12h14',
  close: 'M6 6l12 12M18 6 6 18',
  check: 'M5 12.5 10 17.5 19.5 7',
  undo: 'M8.5 5 4.5 9l4 4M4.5 9H14a5 5 0 0 1 0 10.5H9',
  redo: 'M15.5 5l4 4-4 4M19.5 9H10a5 5 0 0 0 0 10.5h5',
  play: 'M8 5.5v13l10.5-6.5z',
  pause: 'M8.5 5.5v13M15.5 5.5v13',
  stop: 'M6.5 6.5h11v11h-11z',
  eye: 'M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12M12 9.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6',
  pictures: 'M4 5h16v14H4zM4 16l4.5-4.5 4 4L15.5 12.5 20 17M15.5 8.5v.01',
  chip: 'M7 7h10v10H7zM10 3.5V7M14 3.5V7M10 17v3.5M14 17v3.5M3.5 10H7M3.5 14H7M17 10h3.5M17 14h3.5',
  stack: 'M4 8.5 12 4.5l8 4-8 4zM4 12.5l8 4 8-4M4 16.5l8 4 8-4',
  lock: 'M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3',
  warning: 'M12 4.5 21 19.5H3zM12 10v4.5M12 17v.01',
  info: 'M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16M12 11v5M12 8v.01',
  table: 'M4 5h16v14H4zM4 10h16M4 14.5h16M10 10v9',
  clock: 'M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16M12 7.5V12l3 2',
  chevron: 'M8 10l4 4 4-4',
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}

/** Two kinds of things, and the line between them. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect class="mark-ground" width="32" height="32" rx="8" />
      <path class="mark-line" d="M6 25C13 24 13 9 26 7" />
      <g class="mark-first">
        <circle cx="9" cy="10" r="2.6" />
        <circle cx="15.5" cy="7" r="2.6" />
        <circle cx="8.5" cy="17" r="2.6" />
      </g>
      <g class="mark-second">
        <circle cx="23.5" cy="15" r="2.6" />
        <circle cx="17.5" cy="20.5" r="2.6" />
        <circle cx="24.5" cy="23" r="2.6" />
      </g>
    </svg>
  );
}
