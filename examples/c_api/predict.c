/* Predicts, for a text whose routing is known, every token's experts at every MoE layer, as an
 * inference engine would while the text is computed, and compares.
 *
 *   usage: foregate_c_example PREDICTOR_DIR [M | P] < routing.txt
 *
 * routing.txt has a line a token: its id, then the k experts of MoE layer 0, those of layer 1, and
 * so on, highest gate weight first. Prints a line a token and layer: the M experts that are
 * likeliest (k unless given), or with a probability P such as 0.2 those that are at least so
 * probable; then those chosen. At the end the share of the chosen ones that was predicted. */
#include <foregate/predictor.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(foregate_status status) {
  if (status == FOREGATE_OK) return;
  fprintf(stderr, "error: %s (%s)\n", foregate_last_error(), foregate_status_name(status));
  exit(1);
}

static int32_t *allocate(size_t count) {
  int32_t *numbers = malloc(count * sizeof(*numbers));
  if (numbers == NULL) {
    fprintf(stderr, "error: out of memory\n");
    exit(1);
  }
  return numbers;
}

/* One token of standard input; 0 at the end. */
static int read_token(int32_t *id, int32_t *experts, size_t count) {
  size_t i;
  long number;
  if (scanf("%ld", &number) != 1) return 0;
  *id = (int32_t)number;
  for (i = 0; i < count; ++i) {
    if (scanf("%ld", &number) != 1) {
      fprintf(stderr, "error: the last line is too short; expected an id and %lu experts\n",
              (unsigned long)count);
      exit(1);
    }
    experts[i] = (int32_t)number;
  }
  return 1;
}

static size_t hits(const int32_t *predicted, size_t m, const int32_t *chosen, size_t k) {
  size_t i;
  size_t j;
  size_t found = 0;
  for (i = 0; i < k; ++i) {
    for (j = 0; j < m; ++j) found += predicted[j] == chosen[i];
  }
  return found;
}

static void print_experts(const char *label, const int32_t *experts, size_t count) {
  size_t i;
  printf("  %s", label);
  for (i = 0; i < count; ++i) printf(" %ld", (long)experts[i]);
}

int main(int argc, char **argv) {
  foregate_predictor *predictor;
  foregate_sequence *sequence;
  foregate_predictor_info info;
  int32_t *predicted;
  int32_t *chosen;
  int32_t id;
  int32_t layer;
  size_t k;
  size_t m;
  size_t found = 0;
  size_t fetched = 0;
  size_t decisions = 0;
  float threshold = 0;
  int by_probability;
  long token = 0;

  if (argc < 2 || argc > 3) {
    fprintf(stderr, "usage: %s PREDICTOR_DIR [M | P] < routing.txt\n", argv[0]);
    return 2;
  }
  if (foregate_predictor_api_version() != FOREGATE_PREDICTOR_API_VERSION) {
    fprintf(stderr, "error: the library has version %d, this program was compiled for %d\n",
            foregate_predictor_api_version(), FOREGATE_PREDICTOR_API_VERSION);
    return 1;
  }
  check(foregate_predictor_load(argv[1], &predictor));
  info.struct_size = sizeof(info);
  check(foregate_predictor_get_info(predictor, &info));
  printf("%s at %s: MoE layers %d to %d, %d experts, top-%d\n", info.name, info.lead,
         (int)info.first_layer, (int)info.num_moe_layers - 1, (int)info.num_experts,
         (int)info.top_k);
  if (info.needs_state) {
    fprintf(stderr, "error: %s reads hidden states, which this example has none of\n", info.name);
    foregate_predictor_free(predictor);
    return 1;
  }

  k = (size_t)info.top_k;
  by_probability = argc == 3 && strchr(argv[2], '.') != NULL;
  if (by_probability) {
    threshold = (float)strtod(argv[2], NULL);
    m = (size_t)info.num_experts; /* as many as it may be */
  } else {
    m = argc == 3 ? (size_t)strtoul(argv[2], NULL, 10) : k;
  }
  if (m < 1 || m > (size_t)info.num_experts) {
    fprintf(stderr, "error: M is %s; expected 1 to %d\n", argv[2], (int)info.num_experts);
    foregate_predictor_free(predictor);
    return 2;
  }
  predicted = allocate(m);
  chosen = allocate((size_t)info.num_moe_layers * k);
  check(foregate_sequence_create(predictor, &sequence));

  while (read_token(&id, chosen, (size_t)info.num_moe_layers * k)) {
    check(foregate_sequence_token(sequence, id));
    for (layer = 0; layer < info.num_moe_layers; ++layer) {
      const int32_t *truth = chosen + (size_t)layer * k;
      if (layer >= info.first_layer) {
        /* Here an engine would fetch the predicted experts, while earlier layers still compute. */
        size_t count = m;
        if (by_probability) {
          check(foregate_predict_at_least(&sequence, 1, layer, threshold, predicted, &count));
        } else {
          check(foregate_predict_best(&sequence, 1, layer, m, predicted));
        }
        printf("token %ld layer %d:", token, (int)layer);
        print_experts("predicted", predicted, count);
        print_experts("chosen", truth, k);
        printf("\n");
        found += hits(predicted, count, truth, k);
        fetched += count;
        ++decisions;
      }
      /* The router of this layer has decided. */
      check(foregate_sequence_routing(sequence, layer, truth, k));
    }
    ++token;
  }
  if (decisions > 0) {
    const double recall = (double)found / (double)(decisions * k);
    if (by_probability) {
      printf("experts at least %.3f probable: %.3f a decision, recall %.6f\n", (double)threshold,
             (double)fetched / (double)decisions, recall);
    } else {
      printf("recall@%lu %.6f\n", (unsigned long)m, recall);
    }
  }

  free(chosen);
  free(predicted);
  foregate_sequence_free(sequence);
  foregate_predictor_free(predictor);
  return 0;
}
