#include "live/train_live.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/file_digest.h"
#include "base/files.h"
#include "base/number_text.h"
#include "base/output_folder.h"
#include "live/live_stream.h"
#include "models/model_files.h"
#include "predict/calibration.h"
#include "predict/counting/routing_counts.h"
#include "predict/fit_inputs.h"
#include "predict/registry.h"
#include "predict/runs/training_output.h"
#include "predict/training/trainer.h"
#include "predict/training/trainer_settings.h"
#include "tensor/dtype.h"
#include "text/tokenizer/formats/tokenizer_path.h"

namespace foregate::live {
namespace {

constexpr int64_t kBatches = 8;           // of the model's, in the buffer
constexpr double kDrawsPerPass = 4;       // of a token, when passes are chosen here
constexpr int64_t kProgressSteps = 1000;  // of the bar over several trainings

/// One predictor on its way to its directory.
struct Job {
  std::unique_ptr<predict::Predictor> predictor;
  predict::PredictorInfo info;
  std::filesystem::path output;
  std::filesystem::path tensorboard;
  bool already_done = false;
  std::unique_ptr<predict::Training> training;  // none if it learns by counting
};

std::vector<std::pair<std::string, scoring::Lead>> wanted(const TrainLiveOptions& options) {
  std::vector<std::pair<std::string, scoring::Lead>> pairs;
  for (const std::string& name : options.predictors) {
    const predict::PredictorKind* kind = predict::find_predictor_kind(name);
    const size_t before = pairs.size();
    for (const scoring::Lead& lead : options.leads) {
      if (kind != nullptr && kind->supports(lead)) pairs.emplace_back(name, lead);
    }
    // None of the leads, or no such predictor: let the registry say what there is.
    if (pairs.size() == before) pairs.emplace_back(name, options.leads.front());
  }
  return pairs;
}

predict::LiveOrigin origin_of(const LiveTexts& texts, int64_t passes,
                              const TrainLiveOptions& options) {
  const collect::CollectOptions& source = texts.source().options;
  predict::LiveOrigin origin;
  for (const text::DatasetPlan& dataset : texts.source().plan.datasets) {
    origin.data.push_back(
        {dataset.spec.name, static_cast<int64_t>(dataset.ordinals.size()), dataset.sha256});
  }
  origin.max_length = source.max_length;
  origin.model_dtype = tensor::dtype_name(source.compute.dtype);
  origin.quantization = tensor::quantization_name(source.compute.quantization.value());
  origin.tokenizer_sha256 = text::tokenizer_digest(source.model);
  origin.buffer_tokens = options.buffer_tokens;
  origin.training_tokens = texts.index().tokens_of(trace::Split::kTrain);
  origin.passes = passes;
  return origin;
}

Job make_job(const std::string& name, const scoring::Lead& lead, const LiveTexts& texts,
             const TrainLiveOptions& options, bool alone) {
  const collect::CollectOptions& source = texts.source().options;
  Job job;
  job.predictor = predict::make_configured(name, lead, texts.geometry(), options.config);
  const std::string folder = fmt::format("{}-{}", name, scoring::lead_name(lead));
  job.output = alone ? options.output : options.output / folder;
  if (!options.tensorboard.empty()) {
    job.tensorboard = alone ? options.tensorboard : options.tensorboard / folder;
  }
  predict::PredictorInfo& info = job.info;
  info.name = name;
  info.lead = lead;
  info.geometry = texts.geometry();
  info.settings = job.predictor->settings();
  info.model = collect::model_name_of(source);
  info.config_sha256 = models::config_digest(source.model);
  info.weights_sha256 = digest_of(texts.source().weights);
  info.split_seed = source.seed;
  info.held_out = options.held_out;
  info.seed = options.seed;
  info.dtype = tensor::dtype_name(options.dtype);
  return job;
}

/// Passes over the training texts, so that a token is drawn a few times each time it comes by.
int64_t choose_passes(const std::vector<Job>& jobs, const LiveTexts& texts,
                      const TrainLiveOptions& options) {
  if (options.passes > 0) return options.passes;
  // What is in memory all the time need not come again.
  if (LiveReader::num_batches(texts, trace::Split::kTrain) <= kBatches) return 1;
  double draws = 0;
  for (const Job& job : jobs) {
    const predict::TrainerSettings* training = job.predictor->trainer_settings();
    if (training == nullptr) continue;
    draws = std::max(
        draws, static_cast<double>(training->steps) * static_cast<double>(training->batch_tokens));
  }
  const auto tokens = static_cast<double>(texts.index().tokens_of(trace::Split::kTrain));
  return std::max<int64_t>(1, std::llround(draws / (kDrawsPerPass * tokens)));
}

LiveStreamOptions stream_options(const std::vector<Job>& jobs, int64_t passes,
                                 const TrainLiveOptions& options) {
  LiveStreamOptions stream{.batches = kBatches, .passes = passes, .features = false};
  for (const Job& job : jobs) {
    const predict::TrainerSettings* training = job.predictor->trainer_settings();
    if (training == nullptr) continue;
    stream.validation_tokens = std::max(
        stream.validation_tokens, std::min(training->validation_tokens, options.buffer_tokens));
    stream.features = stream.features || job.predictor->needs_features();
  }
  return stream;
}

void fit_or_start(Job& job, const predict::FitInputs& inputs) {
  job.training = job.predictor->start_training(inputs);
  if (!job.training) job.predictor->fit(inputs);
}

/// Takes steps by turns, always where the smallest share is done, so that all look at about the
/// same part of the stream.
void run_trainings(std::vector<Job>& jobs, ProgressSink& sink) {
  const auto progress =
      sink.start({.label = "training", .unit = "permille", .total = kProgressSteps});
  while (true) {
    Job* next = nullptr;
    for (Job& job : jobs) {
      if (!job.training || job.training->done()) continue;
      if (next == nullptr || job.training->share() < next->training->share()) next = &job;
    }
    if (next == nullptr) break;
    try {
      next->training->step();
    } catch (const InterruptedError&) {
      for (const Job& job : jobs) {
        if (job.training) job.training->save();
      }
      throw;
    }
    progress->update(std::llround(next->training->share() * static_cast<double>(kProgressSteps)));
  }
  progress->finish();
  for (Job& job : jobs) {
    if (job.training) job.predictor->end_training(*job.training);
  }
}

std::vector<uint64_t> texts_seen(const TextIndex& index) {
  std::vector<uint64_t> seen;
  for (size_t i = 0; i < index.splits.size(); ++i) {
    if (index.splits[i] != trace::Split::kTest) seen.push_back(index.hashes[i]);
  }
  return seen;
}

void write_results(std::vector<Job>& jobs, const LiveTexts& texts) {
  std::vector<const predict::Predictor*> predictors;
  for (const Job& job : jobs) predictors.push_back(job.predictor.get());
  const auto metrics = predict::measure_on_validation(predictors, texts);
  const auto calibrations = predict::fit_calibrations(predictors, texts);
  for (size_t i = 0; i < jobs.size(); ++i) {
    Job& job = jobs[i];
    job.info.settings = job.predictor->settings();
    job.info.best_step = job.predictor->best_step();
    job.info.validation = metrics[i];
    job.info.calibration = calibrations[i];
    predict::save_predictor(job.output, *job.predictor, job.info, texts_seen(texts.index()));
    fs::remove(job.output / predict::kCheckpointFile);
  }
}

void check_options(const TrainLiveOptions& options) {
  if (options.texts.data.empty()) {
    throw UsageError("no texts given; name at least one dataset with --data NAME=PATH");
  }
  if (options.predictors.empty() || options.leads.empty()) {
    throw UsageError("--live needs at least one --predictor and one --lead");
  }
}

}  // namespace

std::vector<predict::TrainSummary> train_live(const TrainLiveOptions& options,
                                              const RunContext& run) {
  check_options(options);
  collect::CollectOptions request = options.texts;
  request.batch_tokens = std::max<int64_t>(1, options.buffer_tokens / kBatches);
  request.output.clear();
  const LiveTexts texts(collect::open_source(request, run), options.held_out, request.batch_tokens,
                        run);

  const auto pairs = wanted(options);
  std::vector<Job> jobs;
  for (const auto& [name, lead] : pairs) {
    jobs.push_back(make_job(name, lead, texts, options, pairs.size() == 1));
  }
  const int64_t passes = choose_passes(jobs, texts, options);
  const predict::LiveOrigin origin = origin_of(texts, passes, options);
  for (Job& job : jobs) {
    job.info.live = origin;
    job.already_done = predict::is_done(job.output, job.info, run.log);
  }
  std::vector<predict::TrainSummary> summaries;
  for (const Job& job : jobs) {
    if (job.already_done) {
      summaries.push_back({predict::read_predictor_info(job.output), true, job.output});
    }
  }
  std::erase_if(jobs, [](const Job& job) { return job.already_done; });
  if (jobs.empty()) return summaries;

  const TextIndex& index = texts.index();
  run.log.info("{} with {}, {}; {} over them",
               number_of(index.texts_of(trace::Split::kTrain), "training text"),
               number_of(index.tokens_of(trace::Split::kTrain), "token"),
               number_of(index.texts_of(trace::Split::kValidation), "validation text"),
               number_of(passes, "pass"));
  // One training shows its own steps; of several, only how far they are together is shown.
  const bool alone = jobs.size() == 1;
  const RunContext each{alone ? run.progress : silent_run().progress, run.stop, run.log};
  LiveStream stream(texts, stream_options(jobs, passes, options));
  predict::SharedCounts counts(texts);
  std::vector<std::unique_ptr<OutputFolder>> folders;
  for (Job& job : jobs) {
    folders.push_back(std::make_unique<OutputFolder>(job.output));
    predict::TrainingEnvironment environment;
    environment.device = options.texts.compute.device;
    environment.dtype = options.dtype;
    environment.seed = options.seed;
    environment.checkpoint = job.output / predict::kCheckpointFile;
    environment.tensorboard = job.tensorboard;
    environment.identity = predict::identity_of(job.info);
    fit_or_start(job, {texts, counts, environment, &stream, each});
  }
  run_trainings(jobs, alone ? silent_run().progress : run.progress);
  write_results(jobs, texts);
  for (const Job& job : jobs) summaries.push_back({job.info, false, job.output});
  return summaries;
}

}  // namespace foregate::live
