#pragma once

#include <memory>

#include "base/json.h"
#include "text/tokenizer/normalizer.h"

namespace foregate::text {

/// The step that one object of a tokenizer.json's normalizer describes (a Sequence is none). Throws
/// DataError naming a type or setting that is not implemented.
std::unique_ptr<const NormalizerStep> make_normalizer_step(const JsonReader& json);

}  // namespace foregate::text
