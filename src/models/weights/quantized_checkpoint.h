#pragma once

#include <filesystem>

#include "base/run_context.h"
#include "tensor/weight/quantization.h"

namespace foregate::models {

/// Writes the model in `model` with its matrices quantised to `output`, a new folder that can be
/// loaded like the original: model.safetensors, config.json with the quantization_config that says
/// so, and the tokenizer's files. Streams: the host holds some 100 MB of weights at a time. The
/// folder appears when it is whole.
///
/// A matrix NAME becomes NAME with the codes and NAME.scale (int8) or NAME.absmax (nf4) with the
/// scales, laid out as in weight.h; every other tensor is copied.
///
/// Throws UsageError if there is something else at `output`, InterruptedError, and the errors of
/// loading.
void save_quantized(const std::filesystem::path& model, tensor::Quantization quantization,
                    const std::filesystem::path& output, const RunContext& run);

/// Whether `folder` is what save_quantized() makes of `model` as it is now: of the same config.json
/// and the same weights (weight_digests; a folder of an older foregate has none, which `log` is
/// told). Throws UsageError, saying what differs, if there is something else at `folder`.
bool is_saved_quantized(const std::filesystem::path& folder, const std::filesystem::path& model,
                        tensor::Quantization quantization, Logger& log);

}  // namespace foregate::models
