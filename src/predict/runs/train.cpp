#include "predict/runs/train.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file_digest.h"
#include "base/files.h"
#include "base/output_folder.h"
#include "predict/calibration.h"
#include "predict/counting/routing_counts.h"
#include "predict/fit_inputs.h"
#include "predict/runs/training_output.h"
#include "predict/texts/corpus.h"
#include "predict/texts/dataset_texts.h"
#include "predict/texts/routed_texts.h"
#include "tensor/dtype.h"

namespace foregate::predict {
namespace {

PredictorInfo info_of(const Predictor& predictor, const TrainOptions& options,
                      const Corpus& corpus) {
  const trace::Manifest& manifest = corpus.manifest();
  PredictorInfo info;
  info.name = predictor.name();
  info.lead = predictor.lead();
  info.geometry = predictor.geometry();
  info.settings = predictor.settings();
  info.model = manifest.model;
  info.config_sha256 = manifest.config_sha256;
  info.weights_sha256 = digest_of(manifest.weights);
  info.trace = corpus.path().string();
  info.trace_sha256 = corpus.digest();
  info.token_ids = manifest.token_ids;
  info.tokenizer_sha256 = manifest.tokenizer_sha256;
  info.split_seed = manifest.seed;
  info.split = corpus.split_options();
  info.held_out = options.held_out;
  info.learned_from = options.learn_from;
  info.seed = options.seed;
  info.dtype = tensor::dtype_name(options.dtype);
  return info;
}

}  // namespace

TrainSummary train_predictor(const TrainOptions& options, const RunContext& run) {
  Corpus corpus(options.traces, options.held_out, run.stop);
  if (options.routers) corpus.take_routers_of_model(*options.routers);
  const auto predictor =
      make_configured(options.predictor, options.lead, corpus.geometry(), options.config);
  require_inputs(*predictor, corpus);
  PredictorInfo info = info_of(*predictor, options, corpus);
  if (is_done(options.output, info, run.log))
    return {read_predictor_info(options.output), true, options.output};
  const OutputFolder folder(options.output);

  TrainingEnvironment environment;
  environment.device = options.device;
  environment.dtype = options.dtype;
  environment.seed = options.seed;
  environment.checkpoint = options.output / kCheckpointFile;
  environment.tensorboard = options.tensorboard;
  environment.identity = identity_of(info);
  std::optional<DatasetTexts> part;
  if (!options.learn_from.empty()) part.emplace(corpus, options.learn_from);
  const RoutedTexts& texts = part ? static_cast<const RoutedTexts&>(*part) : corpus;
  SharedCounts counts(texts);
  predictor->fit({.corpus = texts, .counts = counts, .environment = environment, .run = run});

  info.settings = predictor->settings();
  info.best_step = predictor->best_step();
  info.validation = measure_on_validation({predictor.get()}, texts).front();
  info.calibration = fit_calibrations({predictor.get()}, texts).front();
  save_predictor(options.output, *predictor, info, hashes_learned_from(texts));
  fs::remove(environment.checkpoint);
  return {info, false, options.output};
}

}  // namespace foregate::predict
