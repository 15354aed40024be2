#include "trace/parquet/row_group.h"

#include <arrow/array.h>
#include <arrow/buffer.h>
#include <arrow/table.h>
#include <arrow/type.h>

#include "trace/parquet/schema.h"

namespace foregate::trace {
namespace {

constexpr int64_t kMaxRows = 4096;
constexpr int64_t kMaxTokens = 32LL << 10;
constexpr int64_t kMaxBytes = 64LL << 20;

template <typename T>
std::shared_ptr<arrow::Array> numbers(const arrow::Field& field, const std::vector<T>& values) {
  return arrow::MakeArray(arrow::ArrayData::Make(field.type(), static_cast<int64_t>(values.size()),
                                                 {nullptr, arrow::Buffer::Wrap(values)}));
}

}  // namespace

template <typename T>
template <typename Row>
void RowGroup::Lists<T>::add(const Row& row) {
  values.insert(values.end(), row.begin(), row.end());
  offsets.push_back(static_cast<int32_t>(values.size()));
}

template <typename T>
void RowGroup::Lists<T>::clear() {
  offsets.assign(1, 0);
  values.clear();
}

template <typename T>
std::shared_ptr<arrow::Array> RowGroup::Lists<T>::array(const arrow::Field& field) const {
  const auto rows = static_cast<int64_t>(offsets.size()) - 1;
  const auto type = std::static_pointer_cast<arrow::ListType>(field.type());
  return std::make_shared<arrow::ListArray>(type, rows, arrow::Buffer::Wrap(offsets),
                                            numbers(*type->value_field(), values));
}

RowGroup::RowGroup(const Manifest& manifest)
    : experts_in_bytes_(schema::experts_fit_a_byte(manifest.geometry)),
      has_gate_weights_(manifest.gate_weights),
      has_router_logits_(manifest.router_logits) {}

void RowGroup::add(const Trace& trace) {
  datasets_.add(trace.dataset);
  samples_.push_back(trace.sample);
  num_tokens_.push_back(trace.num_tokens());
  prompt_tokens_.push_back(trace.prompt_tokens);
  token_ids_.add(trace.token_ids);
  experts_in_bytes_ ? narrow_experts_.add(trace.experts) : wide_experts_.add(trace.experts);
  if (has_gate_weights_) gate_weights_.add(trace.gate_weights);
  if (has_router_logits_) router_logits_.add(trace.router_logits);
}

bool RowGroup::full() const {
  const int64_t bytes = narrow_experts_.bytes() + wide_experts_.bytes() + gate_weights_.bytes() +
                        router_logits_.bytes();
  return rows() >= kMaxRows || static_cast<int64_t>(token_ids_.values.size()) >= kMaxTokens ||
         bytes >= kMaxBytes;
}

std::shared_ptr<arrow::Table> RowGroup::table(const std::shared_ptr<arrow::Schema>& schema) const {
  const auto field = [&](const char* name) -> const arrow::Field& {
    return *schema->GetFieldByName(name);
  };
  arrow::ArrayVector columns = {
      std::make_shared<arrow::StringArray>(rows(), arrow::Buffer::Wrap(datasets_.offsets),
                                           arrow::Buffer::Wrap(datasets_.values)),
      numbers(field(schema::kSample), samples_),
      numbers(field(schema::kNumTokens), num_tokens_),
      numbers(field(schema::kPromptTokens), prompt_tokens_),
      token_ids_.array(field(schema::kTokenIds)),
      experts_in_bytes_ ? narrow_experts_.array(field(schema::kExperts))
                        : wide_experts_.array(field(schema::kExperts))};
  if (has_gate_weights_) columns.push_back(gate_weights_.array(field(schema::kGateWeights)));
  if (has_router_logits_) columns.push_back(router_logits_.array(field(schema::kRouterLogits)));
  return arrow::Table::Make(schema, columns, rows());
}

void RowGroup::clear() {
  datasets_.clear();
  samples_.clear();
  num_tokens_.clear();
  prompt_tokens_.clear();
  token_ids_.clear();
  narrow_experts_.clear();
  wide_experts_.clear();
  gate_weights_.clear();
  router_logits_.clear();
}

}  // namespace foregate::trace
