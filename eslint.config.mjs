import js from '@eslint/js';
import { createTypeScriptImportResolver } from 'eslint-import-resolver-typescript';
import importX from 'eslint-plugin-import-x';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** Who may import whom. A layer's packages see the layers it names, and nothing else of ours. */
const LAYERS = {
  pure: { packages: ['ram', 'errors'], mayImport: ['pure'] },
  native: { packages: ['native'], mayImport: [] },
  wire: { packages: ['api'], mayImport: ['pure'] },
  kit: { packages: ['daemon', 'vmm'], mayImport: ['pure', 'wire', 'native'] },
  service: {
    packages: ['source-agent', 'page-server', 'destination-agent'],
    mayImport: ['pure', 'wire', 'kit', 'native'],
  },
  tool: { packages: ['cli'], mayImport: ['pure', 'wire', 'kit'] },
};

const INSIDE_OF_A_PACKAGE = {
  regex: '^@umem/[^/]+/.|(^|/)\\.\\./.*(packages|native)/',
  message: 'Import a package by its name: what lies inside of it is its own.',
};

function packageFolder(name) {
  return name === 'native' ? 'native' : `packages/${name}`;
}

/** The rule for the packages of one layer. */
function layerRule([layer, { packages, mayImport }]) {
  const forbidden = Object.entries(LAYERS)
    .filter(([other]) => !mayImport.includes(other))
    .flatMap(([other, { packages: names }]) =>
      names.map((name) => ({
        regex: `^@umem/${name}$`,
        message: `Layer "${layer}" may not import layer "${other}" (STYLE: who may import whom).`,
      })),
    );
  return {
    files: packages.map((name) => `${packageFolder(name)}/**/*.ts`),
    rules: { 'no-restricted-imports': ['error', { patterns: [...forbidden, INSIDE_OF_A_PACKAGE] }] },
  };
}

/** File names are words of lower-case letters and digits, joined by hyphens. */
const kebabCaseFileName = {
  create(context) {
    const name = context.filename.split('/').at(-1);
    if (/^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+)+$/.test(name)) return {};
    return {
      Program(node) {
        context.report({ node, message: `Name this file in kebab-case: "${name}" is not.` });
      },
    };
  },
};

export default defineConfig(
  { ignores: ['**/dist/', '**/build/', '**/src/gen/', '.nx/', '.cache/', 'coverage/', '**/results/'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    plugins: { 'import-x': importX },
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    settings: {
      'import-x/extensions': ['.ts'],
      'import-x/parsers': { '@typescript-eslint/parser': ['.ts'] },
      'import-x/resolver-next': [
        createTypeScriptImportResolver({
          noWarnOnMultipleProjects: true,
          project: ['packages/*/tsconfig.json', 'native/tsconfig.json', 'test/tsconfig.json'],
        }),
      ],
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
      // An async function without await turns what it throws into a rejection, as its interface promises.
      '@typescript-eslint/require-await': 'off',
      // `call(client, client.method, …)` of @umem/api binds what it is given.
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      'import-x/no-cycle': ['error', { ignoreExternal: true }],
      'import-x/no-default-export': 'error',
    },
  },
  ...Object.entries(LAYERS).map(layerRule),
  {
    // Tests see every package, like a user: from outside.
    files: ['test/**/*.ts'],
    rules: { 'no-restricted-imports': ['error', { patterns: [INSIDE_OF_A_PACKAGE] }] },
  },
  {
    // Asymmetric matchers such as `expect.any` are typed `any`.
    files: ['**/*.test.ts'],
    rules: { '@typescript-eslint/no-unsafe-assignment': 'off' },
  },
  {
    files: ['**/*.config.ts'],
    rules: { 'import-x/no-default-export': 'off' },
  },
  {
    files: ['**/*.{js,mjs}'],
    languageOptions: {
      globals: {
        AbortController: 'readonly',
        Buffer: 'readonly',
        URL: 'readonly',
        clearTimeout: 'readonly',
        console: 'readonly',
        process: 'readonly',
        setTimeout: 'readonly',
      },
    },
  },
  {
    files: ['**/*.{ts,mjs}'],
    plugins: { umem: { rules: { 'kebab-case-file-name': kebabCaseFileName } } },
    rules: { 'umem/kebab-case-file-name': 'error' },
  },
);
