#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "commands.h"
#include "live_options.h"
#include "model_options.h"
#include "options/number_options.h"
#include "output.h"
#include "predict/registry.h"
#include "predict/runs/sweep.h"
#include "predict/runs/train.h"
#include "predict_options.h"
#include "tensor/device/device.h"
#include "tensor/dtype.h"

namespace foregate {
namespace {

constexpr const char* kFooter =
    "examples:\n"
    "  foregate train --traces traces --predictor statistics --lead layer-1 --output statistics\n"
    "  foregate train --traces traces --predictor gate-mlp --lead layer-1 --output gate-mlp\n"
    "  foregate train --traces traces --predictor transformer --lead next-token --device cuda "
    "--output transformer\n"
    "  foregate train --traces traces --predictor mlp --lead pre-attention --config settings.json "
    "--output mlp\n"
    "next-gate, gate-adapter, gate-mlp and mlp read hidden states: collect the traces with "
    "--record features.\n"
    "  foregate train --live --model DIR --data imdb=imdb.csv --texts 8000 --predictor gate-mlp "
    "--lead layer-1 \\\n"
    "      --lead pre-attention --output predictors\n"
    "Stopped at any moment, the same command continues from the last checkpoint.";

struct Arguments {
  predict::TrainOptions options;
  std::vector<std::string> predictors;
  std::vector<std::string> leads;
  std::string model;
  std::string device = "cpu";
  std::string dtype = "float32";
  std::filesystem::path grid;
  LiveArguments live;
  bool json = false;
};

Json to_json(const predict::TrainSummary& summary) {
  Json result = summary.info.to_json();
  result["output"] = summary.output.string();
  result["already_done"] = summary.already_done;
  return result;
}

void print_summary(const predict::TrainSummary& summary) {
  std::string measured;
  for (const auto& [metric, value] : summary.info.validation) {
    measured += fmt::format("{}{} {:.1f}%", measured.empty() ? "; validation: " : ", ", metric,
                            100 * value);
  }
  print_line(fmt::format("{}{}: {} at {}{}", summary.output.string(),
                         summary.already_done ? " is there already" : "", summary.info.name,
                         scoring::lead_name(summary.info.lead), measured));
}

void run_sweep(const Arguments& arguments, const RunContext& run) {
  const std::vector<predict::SweepRow> rows =
      predict::sweep(arguments.options, arguments.grid, run);
  if (!arguments.json) {
    print_line(predict::sweep_table(rows));
    return;
  }
  Json result = Json::array();
  for (const predict::SweepRow& row : rows) {
    Json json = to_json(row.summary);
    json["seconds"] = row.seconds;
    result.push_back(std::move(json));
  }
  print_json({{"sweep", std::move(result)}});
}

void run_live(Arguments& arguments, const RunContext& run) {
  const predict::TrainOptions& shared = arguments.options;
  if (!shared.learn_from.empty())
    throw UsageError("--learn-from needs --traces; --live learns from all of --data");
  if (!arguments.grid.empty()) throw UsageError("--sweep needs --traces; it does not go --live");
  complete_live_options(arguments.live, arguments.model, shared.device);
  live::TrainLiveOptions& options = arguments.live.options;
  options.predictors = arguments.predictors;
  for (const std::string& lead : arguments.leads)
    options.leads.push_back(scoring::parse_lead(lead));
  options.held_out = shared.held_out;
  options.output = shared.output;
  options.config = shared.config;
  options.tensorboard = shared.tensorboard;
  options.dtype = shared.dtype;
  options.seed = shared.seed;
  const std::vector<predict::TrainSummary> summaries = live::train_live(options, run);
  Json result = Json::array();
  for (const predict::TrainSummary& summary : summaries) {
    if (arguments.json) {
      result.push_back(to_json(summary));
    } else {
      print_summary(summary);
    }
  }
  if (arguments.json) print_json({{"predictors", std::move(result)}});
}

void run_train(Arguments& arguments, const RunContext& run) {
  predict::TrainOptions& options = arguments.options;
  for (const std::string& predictor : arguments.predictors) {
    if (predict::find_predictor_kind(predictor) != nullptr) continue;
    throw UsageError(
        fmt::format("there is no predictor '{}'; expected one of {}", predictor, predictor_list()));
  }
  options.device = tensor::choose_device(arguments.device, run.log);
  options.dtype = tensor::parse_dtype(arguments.dtype);
  if (arguments.live.live) {
    run_live(arguments, run);
    return;
  }
  if (options.traces.empty()) throw UsageError("name the --traces to learn from, or go --live");
  if (arguments.predictors.size() != 1 || arguments.leads.size() != 1) {
    throw UsageError("one --predictor and one --lead at a time; only --live takes several");
  }
  options.predictor = arguments.predictors.front();
  options.lead = scoring::parse_lead(arguments.leads.front());
  options.routers = routers_of_model(arguments.model);
  if (!arguments.grid.empty()) {
    run_sweep(arguments, run);
    return;
  }
  const predict::TrainSummary summary = predict::train_predictor(options, run);
  if (arguments.json) {
    print_json(to_json(summary));
  } else {
    print_summary(summary);
  }
}

}  // namespace

void add_train_command(CLI::App& app, const RunContext& run) {
  auto arguments = std::make_shared<Arguments>();
  predict::TrainOptions& options = arguments->options;
  CLI::App* command =
      app.add_subcommand("train", "Fit predictors on a trace, or on what a running model does");
  command->footer(kFooter);
  command->add_option("--traces", options.traces, "Trace directory");
  command->add_option("--predictor", arguments->predictors, predictor_list())
      ->required()
      ->allow_extra_args(false);
  command->add_option("--lead", arguments->leads, "next-token, layer-H or pre-attention")
      ->required()
      ->allow_extra_args(false);
  command
      ->add_option("-o,--output", options.output,
                   "Predictor directory to make; with --sweep, or several predictors, a folder of "
                   "them")
      ->required();
  command->add_option("--hold-out", options.held_out,
                      "Dataset to learn nothing from, to be measured on by evaluate --hold-out");
  command
      ->add_option("--learn-from", options.learn_from,
                   "The only dataset of the trace to learn from; evaluate then also shows how far "
                   "that carries to the others")
      ->excludes("--hold-out");
  command->add_option("--config", options.config,
                      "JSON file with settings of the predictor and its training");
  command
      ->add_option("--sweep", arguments->grid,
                   "JSON file as for --config, with lists of values for settings to vary: trains "
                   "every combination and prints one table")
      ->excludes("--config");
  command->add_option("--model", arguments->model,
                      "Checkpoint (directory, or OWNER/NAME that was pulled) to run with --live; "
                      "otherwise, whose routers to start from, instead of those recorded");
  command->add_option("--tensorboard", options.tensorboard,
                      "Folder for event files of TensorBoard: loss, learning rate, validation "
                      "recall; default: none");
  add_device_option(*command, arguments->device);
  command->add_option("--dtype", arguments->dtype, "Of the matrix products")
      ->check(CLI::IsMember({"float32", "bfloat16"}))
      ->capture_default_str();
  add_seed_option(*command, "--seed", options.seed, "Of initial weights and the order of training");
  add_live_options(*command, arguments->live);
  command->get_option("--live")->excludes("--traces");
  command->add_flag("--json", arguments->json, "Print the result as one JSON document");
  command->callback([arguments, &run] { run_train(*arguments, run); });
}

}  // namespace foregate
