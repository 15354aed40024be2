#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/number_text.h"
#include "commands.h"
#include "hub/pull.h"
#include "options/number_options.h"
#include "output.h"
#include "text/datasets/dataset_files.h"

namespace foregate {
namespace {

constexpr const char* kFooter =
    "examples:\n"
    "  foregate pull Qwen/Qwen1.5-MoE-A2.7B\n"
    "  foregate pull Qwen/Qwen1.5-MoE-A2.7B --include config.json --include 'tokenizer*'\n"
    "  foregate pull --dataset stanfordnlp/imdb --include 'plain_text/test*'\n"
    "  foregate pull --dataset rajpurkar/squad --revision refs/convert/parquet\n"
    "The files go into the cache that huggingface_hub uses, and the folder they are in is "
    "printed.\n"
    "Stopped at any moment, the same command continues where it was. Of a model config.json, the\n"
    "tokenizer and the safetensors files are pulled, of a dataset the files that collect reads.\n"
    "Environment: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE and others, as\n"
    "huggingface_hub reads them (docs/hub.md).";

constexpr uint64_t kMostJobs = 64;

struct Arguments {
  hub::PullOptions options;
  std::string name;
  bool dataset = false;
  bool json = false;
};

/// The files of a dataset that collect can read.
hub::Paths usual_dataset_files(const hub::Paths& files) {
  hub::Paths usual;
  for (const auto& path : text::readable_files({files.begin(), files.end()})) {
    usual.push_back(path.string());
  }
  return usual;
}

Json to_json(const hub::PullSummary& summary, const hub::PullOptions& options) {
  Json files = Json::array();
  for (const hub::PulledFile& file : summary.files) {
    files.push_back({{"path", file.path}, {"bytes", file.size}, {"cached", file.was_cached}});
  }
  return {{"repository", options.repo.name},
          {"kind", options.repo.kind == hub::RepoKind::kModel ? "model" : "dataset"},
          {"revision", options.revision},
          {"commit", summary.commit},
          {"path", summary.snapshot.string()},
          {"offline", summary.offline},
          {"files", files},
          {"received_bytes", summary.received_bytes},
          {"resumed_bytes", summary.resumed_bytes},
          {"seconds", summary.seconds}};
}

void run_pull(Arguments& arguments, const RunContext& run) {
  hub::PullOptions& options = arguments.options;
  const auto kind = arguments.dataset ? hub::RepoKind::kDataset : hub::RepoKind::kModel;
  options.repo = hub::RepoId::parse(kind, arguments.name);
  if (arguments.dataset) options.usual = usual_dataset_files;
  const hub::PullSummary summary = hub::pull(options, hub::read_environment(), run);
  if (arguments.json) {
    print_json(to_json(summary, options));
    return;
  }
  if (!summary.offline) {
    run.log.info("{} received in {}{}", human_bytes(static_cast<uint64_t>(summary.received_bytes)),
                 clock_time(summary.seconds),
                 summary.resumed_bytes > 0
                     ? fmt::format(", {} were there from before",
                                   human_bytes(static_cast<uint64_t>(summary.resumed_bytes)))
                     : "");
  }
  print_line(summary.snapshot.string());
}

}  // namespace

void add_pull_command(CLI::App& app, const RunContext& run) {
  auto arguments = std::make_shared<Arguments>();
  hub::PullOptions& options = arguments->options;
  CLI::App* command =
      app.add_subcommand("pull", "Download a model or a dataset from the Hugging Face hub");
  command->footer(kFooter);
  command->add_option("name", arguments->name, "OWNER/NAME of the repository")->required();
  command->add_flag("--dataset", arguments->dataset, "The repository is a dataset, not a model");
  command->add_option("--revision", options.revision, "Branch, tag or commit")
      ->capture_default_str();
  CLI::Option* include =
      command
          ->add_option("--include", options.selection.include,
                       "Pull the files that match this pattern (*, ?, [...]; * also matches /), "
                       "instead of the usual ones; may be repeated")
          ->allow_extra_args(false);
  command
      ->add_option("--exclude", options.selection.exclude,
                   "Leave out the files that match this pattern; may be repeated")
      ->allow_extra_args(false);
  command->add_flag("--all-files", options.selection.all_files, "Pull every file")
      ->excludes(include);
  add_number_option(*command, "--jobs", options.jobs, {1, kMostJobs}, "Files downloaded at once");
  command->add_flag("--json", arguments->json, "Print the result as one JSON document");
  command->callback([arguments, &run] { run_pull(*arguments, run); });
}

}  // namespace foregate
