import { useEffect, useState } from 'preact/hooks';
import type { Id } from '../app/state';
import { useActions } from './app';

/** A photo made small. It is asked for when it comes into sight and given back when it goes. */
export function Thumbnail({ id, alt }: { id: Id; alt: string }) {
  const actions = useActions();
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    let there = true;
    void actions.thumbnail(id).then((got) => there && setUrl(got));
    return () => {
      there = false;
      actions.releaseThumbnail(id);
    };
  }, [id]);
  return url ? <img class="thumbnail" src={url} alt={alt} draggable={false} decoding="async" /> : <span class="thumbnail blank" role="img" aria-label={alt} />;
}
