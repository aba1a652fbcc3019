import { useEffect, useMemo, useState } from 'preact/hooks';
import type { Id, Sample } from '../app/state';
import { texts } from '../texts';
import { sameList, useActions, useApp } from './app';
import { Capture } from './capture';
import { Button, FileButton, NameField, Sheet, Switch } from './controls';
import { chosenFolder } from './drop';
import { useDropTarget } from './drop-target';
import { classColour } from './format';
import { PhotoGrid } from './photo-grid';

const none: ReadonlySet<Id> = new Set();
/** Not every phone can. */
const choosesFolders = 'webkitdirectory' in HTMLInputElement.prototype;

export function ClassCardView({ id, fresh }: { id: Id; fresh: boolean }) {
  const actions = useActions();
  const card = useApp((state) => state.project.classes.find((one) => one.id === id));
  const [selected, setSelected] = useState<ReadonlySet<Id>>(none);
  const [capturing, setCapturing] = useState(false);
  const [open, setOpen] = useState(false);
  const [over, dropped] = useDropTarget(
    (items) => void actions.addPhotos(id, items.map((item) => item.file)),
    (ids) => actions.moveSamples(ids, id),
  );
  const [shown, setShown] = useState<Sample>();

  // What was deleted or moved is selected no longer.
  const there = useMemo(() => {
    if (!selected.size || !card) return none;
    const left = card.samples.filter((sample) => selected.has(sample.id)).map((sample) => sample.id);
    return left.length ? new Set(left) : none;
  }, [selected, card?.samples]);

  if (!card) return null;
  const failed = card.samples.filter((sample) => sample.state === 'failed');
  const waiting = card.samples.filter((sample) => sample.state === 'waiting').length;
  const remove = (ids: readonly Id[]) => {
    actions.deleteSamples(ids);
    setSelected(none);
  };

  return (
    <article
      class={`class-card${card.enabled ? '' : ' disabled'}${over ? ' over' : ''}`}
      style={{ '--colour': classColour(card.colour) }}
      aria-label={card.name}
      data-testid="class-card"
      data-name={card.name}
      data-samples={card.samples.length}
      data-class-id={card.id}
      {...dropped}
    >
      <header class="class-head">
        <span class="class-dot" />
        <NameField value={card.name} label={texts.classes.nameOf} focus={fresh} testId="class-name" onChange={(name) => actions.renameClass(card.id, name)} />
        <span class="class-count" data-testid="class-count">
          {card.enabled ? (card.samples.length ? texts.classes.photos(card.samples.length) : texts.classes.noPhotos) : texts.classes.off}
        </span>
        <Switch on={card.enabled} label={texts.classes.enabled(card.name)} onChange={() => actions.toggleClass(card.id)} />
        <Button icon="trash" look="quiet" label={texts.classes.remove(card.name)} testId="delete-class" onClick={() => actions.deleteClass(card.id)} />
      </header>

      {capturing && <Capture classId={card.id} onClose={() => setCapturing(false)} />}

      {card.samples.length > 0 && (
        <PhotoGrid card={card} selected={there} onSelect={setSelected} onDelete={remove} onShow={setShown} open={open} />
      )}

      {there.size > 0 ? (
        <SelectionBar ids={[...there]} classId={card.id} onDelete={remove} onClear={() => setSelected(none)} />
      ) : (
        <div class="class-actions">
          {!capturing && (
            <Button icon="camera" look="quiet" testId="webcam" aria-label={texts.classes.webcamTo(card.name)} onClick={() => setCapturing(true)}>
              {texts.classes.webcam}
            </Button>
          )}
          <FileButton
            icon="upload"
            look="quiet"
            label={texts.classes.uploadTo(card.name)}
            testId="upload-input"
            accept="image/*"
            multiple
            onFiles={(files) => void actions.addPhotos(card.id, files)}
          >
            {texts.classes.upload}
          </FileButton>
          {choosesFolders && <FileButton
            icon="folder"
            look="quiet"
            label={texts.classes.folderTo(card.name)}
            testId="folder-input"
            folder
            onFiles={(files) => void actions.addPhotos(card.id, chosenFolder(files).map((item) => item.file))}
          >
            {texts.classes.folder}
          </FileButton>}
          <span class="class-note">
            {waiting > 0 && texts.classes.waiting(waiting)}
            {!card.samples.length && !capturing && texts.classes.dropHere}
          </span>
          {card.samples.length > 24 && (
            <Button look="quiet" onClick={() => setOpen(!open)}>
              {open ? texts.classes.fewer : texts.classes.more(card.samples.length)}
            </Button>
          )}
        </div>
      )}

      {failed.length > 0 && (
        <div class="class-problem" data-testid="failed-photos">
          <span>
            {failed.length === 1 ? `${failed[0]?.name}: ${failed[0]?.problem ?? ''}` : `${texts.classes.failed(failed.length)}. ${failed[0]?.name}: ${failed[0]?.problem ?? ''}`}
          </span>
          <Button look="quiet" onClick={() => remove(failed.map((sample) => sample.id))}>
            {texts.classes.deleteSelected}
          </Button>
        </div>
      )}
      {over && <div class="class-over">{texts.classes.dropOn(card.name)}</div>}
      {shown && <LargePhoto sample={shown} onClose={() => setShown(undefined)} />}
    </article>
  );
}

function SelectionBar({ ids, classId, onDelete, onClear }: { ids: readonly Id[]; classId: Id; onDelete: (ids: readonly Id[]) => void; onClear: () => void }) {
  const actions = useActions();
  const others = useApp((state) => state.project.classes.filter((card) => card.id !== classId), sameList);
  return (
    <div class="class-actions selecting" role="toolbar" aria-label={texts.classes.selected(ids.length)}>
      <strong aria-live="polite">{texts.classes.selected(ids.length)}</strong>
      {others.length > 0 && (
        <select
          class="field"
          aria-label={texts.classes.moveTo}
          value=""
          onChange={(event) => {
            if (event.currentTarget.value) actions.moveSamples(ids, event.currentTarget.value);
            onClear();
          }}
        >
          <option value="">{texts.classes.moveTo}</option>
          {others.map((card) => (
            <option key={card.id} value={card.id}>
              {card.name}
            </option>
          ))}
        </select>
      )}
      <Button icon="trash" look="quiet" testId="delete-selected" onClick={() => onDelete(ids)}>
        {texts.classes.deleteSelected}
      </Button>
      <Button icon="close" look="quiet" label={texts.classes.clearSelection} onClick={onClear} />
    </div>
  );
}

/** A photo as it was added, on its own. */
export function LargePhoto({ sample, onClose }: { sample: Pick<Sample, 'id' | 'name'>; onClose: () => void }) {
  const actions = useActions();
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    let made: string | undefined;
    let left = false;
    void actions.photo(sample.id).then((blob) => {
      if (!blob || left) return;
      made = URL.createObjectURL(blob);
      setUrl(made);
    });
    return () => {
      left = true;
      if (made) URL.revokeObjectURL(made);
    };
  }, [sample.id]);
  return (
    <Sheet title={sample.name || texts.page.large} look="middle" onClose={onClose}>
      {url && <img class="large-photo" src={url} alt={sample.name} />}
    </Sheet>
  );
}
