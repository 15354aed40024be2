#pragma once

namespace CLI {
class App;
}

namespace foregate {

struct RunContext;

/// `foregate bench generate`, under the command `bench`.
void add_bench_generate(CLI::App& bench, const RunContext& run);

}  // namespace foregate
