/** The files of the model that comes with the package. */

export interface Shipped {
  readonly name: string;
  readonly url: string;
  readonly bytes: number;
  readonly sha256: string;
}

// Each address is written out, so that whoever bundles this finds the file.
export const DEMO_FILES: readonly Shipped[] = [
  {
    name: 'config.json',
    url: new URL('../../models/demo-clip/config.json', import.meta.url).href,
    bytes: 1180,
    sha256: '7c5a030ef8cab966670943fa862265af050f9c92c8e1d5d1501982a360e2c2cd',
  },
  {
    name: 'preprocessor_config.json',
    url: new URL('../../models/demo-clip/preprocessor_config.json', import.meta.url).href,
    bytes: 428,
    sha256: 'aaeecae9a1fc05ac754813e3b82d0d1b234323e3f8a7774b98c523cb017170ae',
  },
  {
    name: 'vocab.json',
    url: new URL('../../models/demo-clip/vocab.json', import.meta.url).href,
    bytes: 862328,
    sha256: '5047b556ce86ccaf6aa22b3ffccfc52d391ea4accdab9c2f2407da5b742d4363',
  },
  {
    name: 'merges.txt',
    url: new URL('../../models/demo-clip/merges.txt', import.meta.url).href,
    bytes: 524619,
    sha256: '9fd691f7c8039210e0fced15865466c65820d09b63988b0174bfe25de299051a',
  },
  {
    name: 'model.safetensors',
    url: new URL('../../models/demo-clip/model.safetensors', import.meta.url).href,
    bytes: 16852514,
    sha256: '5fc4b04db25825e8d0f878c18fae012cffc5ed7d908653e052013e0d699ee607',
  },
];
