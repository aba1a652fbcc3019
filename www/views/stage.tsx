import { useEffect, useState } from 'preact/hooks';
import type { Attention } from '../app/state';
import { useActions, useApp } from './app';
import { Heat } from './heat';
import { Icon } from './icons';

const tallest = 300;

/** A picture being tried (none where it cannot be opened), as large as there is room, with the heat map over it where that is wanted. */
export function Stage({ blob, name, heat }: { blob: Blob | undefined; name: string; heat: boolean }) {
  const actions = useActions();
  const used = useApp((state) => state.training.used);
  const [url, setUrl] = useState<string>();
  const [ratio, setRatio] = useState(1);
  const [broken, setBroken] = useState(false);
  const [attention, setAttention] = useState<Attention>();

  useEffect(() => {
    if (!blob) return;
    const made = URL.createObjectURL(blob);
    setUrl(made);
    setBroken(false);
    return () => URL.revokeObjectURL(made);
  }, [blob]);

  useEffect(() => {
    setAttention(undefined);
    if (!heat || !blob) return;
    let there = true;
    void actions.attention(blob).then((got) => there && setAttention(got));
    return () => {
      there = false;
    };
  }, [blob, heat, used]);

  if (broken || !blob) {
    return (
      <div class="stage broken">
        <Icon name="pictures" />
      </div>
    );
  }
  return (
    <div class="stage">
      <div class="stage-picture" style={{ width: `min(100%, ${Math.round(tallest * ratio)}px)`, aspectRatio: String(ratio) }}>
        {url && (
          <img
            src={url}
            alt={name}
            decoding="async"
            onLoad={(event) => {
              const { naturalWidth, naturalHeight } = event.currentTarget;
              if (naturalWidth && naturalHeight) setRatio(naturalWidth / naturalHeight);
            }}
            onError={() => setBroken(true)}
          />
        )}
        {attention && <Heat attention={attention} />}
      </div>
    </div>
  );
}
