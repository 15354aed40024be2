#pragma once

// One function a subcommand: it declares the options and sets what runs when the subcommand was
// given.

namespace CLI {
class App;
}

namespace foregate {

void add_bench_command(CLI::App& app);
void add_collect_command(CLI::App& app);
void add_pull_command(CLI::App& app);
void add_tokenize_command(CLI::App& app);
void add_inspect_command(CLI::App& app);
void add_import_command(CLI::App& app);
void add_export_command(CLI::App& app);
void add_train_command(CLI::App& app);
void add_evaluate_command(CLI::App& app);
void add_analyze_command(CLI::App& app);

}  // namespace foregate
