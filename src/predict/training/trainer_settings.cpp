#include "predict/training/trainer_settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace foregate::predict {
namespace {

constexpr int64_t kMany = 1'000'000'000;

Loss loss_from(const JsonReader& reader, Loss fallback) {
  const std::optional<Loss> loss = find_loss(reader.string("loss", loss_name(fallback)));
  if (!loss) reader.fail("loss", fmt::format("one of {}", fmt::join(loss_names(), ", ")));
  return *loss;
}

}  // namespace

TrainerSettings TrainerSettings::from_json(const JsonReader& reader,
                                           const TrainerSettings& defaults) {
  TrainerSettings s = defaults;
  s.loss = loss_from(reader, s.loss);
  s.steps = reader.integer("steps", 1, kMany, s.steps);
  s.batch_tokens = reader.integer("batch_tokens", 1, kMany, s.batch_tokens);
  s.run_tokens = reader.integer("run_tokens", 1, s.batch_tokens, s.run_tokens);
  s.learning_rate = reader.number("learning_rate", 0, 1e3, s.learning_rate);
  s.weight_decay = reader.number("weight_decay", 0, 1e3, s.weight_decay);
  s.clip_norm = reader.number("clip_norm", 0, 1e9, s.clip_norm);
  s.warmup_steps = reader.integer("warmup_steps", 0, kMany, s.warmup_steps);
  s.validate_every = reader.integer("validate_every", 1, kMany, s.validate_every);
  s.validation_tokens = reader.integer("validation_tokens", 1, kMany, s.validation_tokens);
  s.patience = reader.integer("patience", 0, kMany, s.patience);
  s.checkpoint_seconds = reader.integer("checkpoint_seconds", 0, kMany, s.checkpoint_seconds);
  return s;
}

Settings TrainerSettings::list() const {
  return {{"loss", loss_name(loss)},
          {"steps", steps},
          {"batch_tokens", batch_tokens},
          {"run_tokens", run_tokens},
          {"learning_rate", learning_rate},
          {"weight_decay", weight_decay},
          {"clip_norm", clip_norm},
          {"warmup_steps", warmup_steps},
          {"validate_every", validate_every},
          {"validation_tokens", validation_tokens},
          {"patience", patience},
          {"checkpoint_seconds", checkpoint_seconds}};
}

}  // namespace foregate::predict
