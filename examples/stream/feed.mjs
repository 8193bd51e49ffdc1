// Sends files through penstock, and says what became of each: node feed.mjs URL FILE…
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const [url, ...files] = process.argv.slice(2);
const run = spawn("penstock", ["send", "--manifest", "-", "--results", "-", "--to", url],
  { stdio: ["pipe", "pipe", "inherit"] });
run.on("close", (status) => { process.exitCode = status ?? 1; });
run.stdin.on("error", () => {}); // the run has ended; its exit status says why

createInterface({ input: run.stdout }).on("line", (line) => {
  const end = JSON.parse(line);
  console.log(end.line, end.key, end.status, end.http_status, end.error);
});
for (const path of files) {
  const room = run.stdin.write(JSON.stringify({ path, key: path }) + "\n");
  if (!room) await new Promise((go) => run.stdin.once("drain", go).once("close", go));
}
run.stdin.end();
