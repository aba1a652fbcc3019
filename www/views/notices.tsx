import { useEffect } from 'preact/hooks';
import type { Notice } from '../app/state';
import { texts } from '../texts';
import { useActions, useApp } from './app';
import { Button } from './controls';
import { Icon } from './icons';

/** Good news goes by itself; problems stay until they are dismissed. */
const goesAfter = 6000;

export function Notices() {
  const notices = useApp((state) => state.notices);
  return (
    <div class="notices" role="status" aria-live="polite" aria-label={texts.notices.region} data-testid="notices">
      {notices.map((notice) => (
        <NoticeView key={notice.id} notice={notice} />
      ))}
    </div>
  );
}

function NoticeView({ notice }: { notice: Notice }) {
  const actions = useActions();
  const dismiss = () => actions.dismiss(notice.id);
  useEffect(() => {
    if (notice.kind !== 'good') return;
    const timer = setTimeout(dismiss, goesAfter);
    return () => clearTimeout(timer);
  }, [notice.id, notice.kind]);
  const { action } = notice;
  return (
    <div class={`notice ${notice.kind}`} data-testid="notice" data-kind={notice.kind}>
      <Icon name={notice.kind === 'problem' ? 'warning' : notice.kind === 'good' ? 'check' : 'info'} />
      <div class="notice-text">
        <p>{notice.text}</p>
        {notice.lines && (
          <ul tabIndex={0} aria-label={notice.text}>
            {notice.lines.map((line, index) => (
              <li key={index}>{line}</li>
            ))}
          </ul>
        )}
      </div>
      {action && (
        <Button
          onClick={() => {
            action.run();
            dismiss();
          }}
        >
          {action.label}
        </Button>
      )}
      <Button icon="close" look="quiet" label={texts.notices.dismiss} onClick={dismiss} />
    </div>
  );
}
