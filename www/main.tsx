import { createApp } from './app/app.ts';
import { mount } from './views/page.tsx';

const into = document.getElementById('app');
const app = await createApp();
// For the console of whoever wants to look, and for tests.
Object.assign(globalThis, { lowshot: app });
if (into) mount(app, into);
if (import.meta.env.PROD && 'serviceWorker' in navigator) void navigator.serviceWorker.register('./sw.js').catch(() => undefined);
