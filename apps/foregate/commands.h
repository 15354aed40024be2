#pragma once

// One function a subcommand: it declares the options and sets what runs, in the terminal's `run`,
// when the subcommand was given.

namespace CLI {
class App;
}

namespace foregate {

struct RunContext;

void add_bench_command(CLI::App& app, const RunContext& run);
void add_collect_command(CLI::App& app, const RunContext& run);
void add_pull_command(CLI::App& app, const RunContext& run);
void add_tokenize_command(CLI::App& app, const RunContext& run);
void add_inspect_command(CLI::App& app, const RunContext& run);
void add_generate_command(CLI::App& app, const RunContext& run);
void add_import_command(CLI::App& app, const RunContext& run);
void add_export_command(CLI::App& app, const RunContext& run);
void add_train_command(CLI::App& app, const RunContext& run);
void add_evaluate_command(CLI::App& app, const RunContext& run);
void add_simulate_command(CLI::App& app, const RunContext& run);
void add_analyze_command(CLI::App& app, const RunContext& run);

}  // namespace foregate
