/* The scans in C, the number of scenarios a constant of the compilation so that the compiler can unroll them. */

#include <math.h>
#include <stdint.h>

void worst(int64_t accounts, const int64_t *restrict start, const int64_t *restrict instrument,
           const double *restrict quantity, const double *restrict arrays, double *restrict pnl,
           int64_t *restrict index) {
    for (int64_t a = 0; a < accounts; a++) {
        double total[SCENARIOS] = {0.0};
        for (int64_t p = start[a]; p < start[a + 1]; p++) {
            const double *row = arrays + instrument[p] * SCENARIOS;
            const double q = quantity[p];
            for (int s = 0; s < SCENARIOS; s++) total[s] += q * row[s];
        }
        int64_t at = 0;
        for (int s = 1; s < SCENARIOS; s++) {
            if (total[s] < total[at]) at = s;
        }
        pnl[a] = total[at];
        index[a] = at;
    }
}

void worst_by_expiry(int64_t accounts, const int64_t *restrict account_start, const int64_t *restrict group_start,
                     const int64_t *restrict group_expiry, const int64_t *restrict instrument,
                     const double *restrict quantity, const double *restrict values, const double *restrict weight,
                     const uint8_t *restrict skew, const double *restrict gain, const double *restrict loss,
                     const double *restrict basis_scale, double *restrict pnl, int64_t *restrict index,
                     double *restrict basis) {
    double flipped[SCENARIOS];
    for (int s = 0; s < SCENARIOS; s++) flipped[s] = skew[s] ? -weight[s] : weight[s];
    for (int64_t a = 0; a < accounts; a++) {
        double total[SCENARIOS] = {0.0};
        double contingency = 0.0;
        for (int64_t g = account_start[a]; g < account_start[a + 1]; g++) {
            double worth[SCENARIOS + 3] = {0.0};
            for (int64_t p = group_start[g]; p < group_start[g + 1]; p++) {
                const double *row = values + instrument[p] * (SCENARIOS + 3);
                const double q = quantity[p];
                for (int s = 0; s < SCENARIOS + 3; s++) worth[s] += q * row[s];
            }
            const int64_t expiry = group_expiry[g];
            const double mark = worth[SCENARIOS + 2];
            if (expiry < 0) {
                for (int s = 0; s < SCENARIOS; s++) total[s] += (worth[s] - mark) * weight[s];
                continue;
            }
            const double up = gain[expiry], down = loss[expiry];
            for (int s = 0; s < SCENARIOS; s++) {
                const double moved = worth[s] * (worth[s] >= 0.0 ? up : down) - mark;
                const double plain = moved * weight[s], turned = moved * flipped[s];
                total[s] += plain < turned ? plain : turned;
            }
            contingency += fmin(fmin(worth[SCENARIOS], worth[SCENARIOS + 1]) - mark, 0.0) * basis_scale[expiry];
        }
        int64_t at = 0;
        for (int s = 1; s < SCENARIOS; s++) {
            if (total[s] < total[at]) at = s;
        }
        pnl[a] = contingency < total[at] ? contingency : total[at];
        index[a] = contingency < total[at] ? SCENARIOS : at;
        basis[a] = contingency;
    }
}
