#include "engine/generation/request.h"

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "tensor/dtype.h"

namespace foregate::engine {

Json settings_json(const GenerationRequest& request, const tensor::Compute& compute) {
  const SamplingSettings& sampling = request.sampling;
  Json bias = Json::object();
  for (const auto& [id, value] : sampling.logit_bias) bias[std::to_string(id)] = value;
  Json settings{{"temperature", sampling.temperature},
                {"top_k", sampling.top_k},
                {"top_p", sampling.top_p},
                {"min_p", sampling.min_p},
                {"repetition_penalty", sampling.repetition_penalty},
                {"presence_penalty", sampling.presence_penalty},
                {"frequency_penalty", sampling.frequency_penalty},
                {"logit_bias", bias},
                {"seed", request.seed},
                {"max_tokens", request.max_tokens},
                {"stop", request.stop_strings},
                {"stop_ids", request.stop_ids}};
  // Only where it is no default, so that what was begun before there was a choice can go on.
  if (compute.kv_dtype) settings["kv_dtype"] = tensor::dtype_name(*compute.kv_dtype);
  return settings;
}

const char* finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kLength:
      return "length";
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kInterrupted:
      return "interrupted";
  }
  throw std::logic_error("a finish reason without a name");
}

}  // namespace foregate::engine
