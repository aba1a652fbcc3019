import { type ComponentChildren, render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { useSignalEffect } from '@preact/signals';
import type { Actions, App } from '../app/actions';
import { texts } from '../texts';
import { AppContext, useActions } from './app';
import { Classes } from './classes';
import { hasFiles, kindOf, pastedFiles, readDrop, type Dropped } from './drop';
import { Header } from './header';
import { Icon } from './icons';
import { Insight } from './insight';
import { Keep } from './keep';
import { useLater } from './later';
import { Learn } from './learn';
import { Models } from './models';
import { Notices } from './notices';
import { panel } from './panels';
import { Projects } from './projects';
import { Try, tryEvent } from './try';

/** Shows the page of `app` in `into`, in place of what was there before the script. */
export function mount(app: App, into: HTMLElement): void {
  into.replaceChildren();
  render(
    <AppContext.Provider value={app}>
      <Page />
    </AppContext.Provider>,
    into,
  );
}

function Page() {
  useUndoKey();
  usePaste();
  return (
    <>
      <a class="skip" href="#classes">
        {texts.skip}
      </a>
      <Header />
      <main class="main">
        <div class="steps">
          <Classes />
          <Learn />
          <Try />
        </div>
        <Later>
          <Insight />
        </Later>
        <Later>
          <Keep />
        </Later>
      </main>
      <footer class="footer">
        <Icon name="lock" />
        <b>{texts.footer.privacy}</b> {texts.footer.line}
      </footer>
      <Jump />
      <Panels />
      <PageDrop />
    </>
  );
}

/** What lies further down is drawn after what is seen first. */
function Later({ children }: { children: ComponentChildren }) {
  return useLater() ? <>{children}</> : null;
}

/** On a phone the steps lie far from each other. */
function Jump() {
  return (
    <nav class="jump" aria-label={texts.page.jump}>
      <a href="#classes">{texts.classes.title}</a>
      <a href="#learn">{texts.learn.title}</a>
      <a href="#try">{texts.try.title}</a>
    </nav>
  );
}

/** A sheet makes the rest of the page unreachable, so messages are shown in it as long as it is open. */
function Panels() {
  const [open, setOpen] = useState(panel.value);
  useSignalEffect(() => setOpen(panel.value));
  return open === 'models' ? <Models /> : open === 'projects' ? <Projects /> : <Notices />;
}

/** Ctrl+Z or ⌘Z, and with Shift the other way, where it does not undo typing. */
function useUndoKey() {
  const actions = useActions();
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== 'z' || event.altKey || !(event.ctrlKey || event.metaKey) || typesText(event.target)) return;
      event.preventDefault();
      if (event.shiftKey) actions.redo();
      else actions.undo();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, []);
}

function typesText(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches('textarea, select, input:not([type=file], [type=radio], [type=checkbox])');
}

/** Pasted pictures go to the class under the pointer or with the focus, else to the preview. */
function usePaste() {
  const actions = useActions();
  useEffect(() => {
    const onPaste = (event: ClipboardEvent) => {
      const files = pastedFiles(event.clipboardData);
      if (!files.length) return;
      event.preventDefault();
      const card = document.querySelector<HTMLElement>('[data-class-id]:hover') ?? document.activeElement?.closest<HTMLElement>('[data-class-id]');
      const classId = card?.dataset['classId'];
      if (classId) void actions.addPhotos(classId, files);
      else tryPictures(files);
    };
    document.addEventListener('paste', onPaste);
    return () => document.removeEventListener('paste', onPaste);
  }, []);
}

function tryPictures(files: readonly File[]) {
  document.dispatchEvent(new CustomEvent(tryEvent, { detail: files }));
}

/** Files dropped beside everything else: each kind goes where it belongs. */
function receive(actions: Actions, items: readonly Dropped[]): void {
  const files = items.map((item) => item.file);
  const [file] = files;
  if (!file) return;
  switch (kindOf(files)) {
    case 'project':
      return void actions.openProjectFile(file);
    case 'adapter':
      return void actions.importAdapter(file);
    case 'model':
      return void actions.useModelFiles(files);
    default:
      return void actions.addFolders(items);
  }
}

function PageDrop() {
  const actions = useActions();
  const [over, setOver] = useState(false);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    const onOver = (event: DragEvent) => {
      if (!hasFiles(event.dataTransfer)) return;
      event.preventDefault();
      setOver(true);
      // `dragleave` comes for every element on the way; that no `dragover` comes any more is the sure sign.
      clearTimeout(timer);
      timer = setTimeout(() => setOver(false), 200);
    };
    const onDrop = (event: DragEvent) => {
      if (!event.dataTransfer || !hasFiles(event.dataTransfer)) return;
      event.preventDefault();
      void readDrop(event.dataTransfer).then((items) => receive(actions, items));
    };
    document.addEventListener('dragover', onOver);
    document.addEventListener('drop', onDrop);
    return () => {
      clearTimeout(timer);
      document.removeEventListener('dragover', onOver);
      document.removeEventListener('drop', onDrop);
    };
  }, []);
  if (!over) return null;
  return (
    <div class="page-drop" aria-hidden="true">
      <p>
        <b>{texts.page.drop}</b>
        {texts.page.dropAbout}
      </p>
    </div>
  );
}
