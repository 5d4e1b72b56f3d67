import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["msrp-room/tests/**/*.test.ts", "tests/**/*.test.ts"],
    setupFiles: ["msrp-room/tests/setup.ts"],
  },
});
